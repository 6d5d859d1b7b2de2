# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Given as -DCMAKE_PROJECT_INCLUDE=<this file> where ROS 2 comes from PyPI wheels; a real installation needs it not.
# The wheels' message targets name include folders of the machine that they were built on, which CMake refuses.
function(_drop_missing_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    if(NOT target MATCHES "__rosidl_generator_py$")
      continue()
    endif()
    get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(includes)
      set(present "")
      foreach(folder IN LISTS includes)
        if(folder MATCHES "^\\$<" OR EXISTS "${folder}")
          list(APPEND present "${folder}")
        endif()
      endforeach()
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${present}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL _drop_missing_includes)
