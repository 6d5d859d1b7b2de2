# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Given as -DCMAKE_PROJECT_INCLUDE=<this file> where ROS 2 comes from PyPI wheels; a real installation needs it not.

# The wheels' message targets name include folders of the machine that they were built on, which CMake refuses.
function(_drop_missing_includes target)
  get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
  if(NOT includes)
    return()
  endif()
  set(present "")
  foreach(folder IN LISTS includes)
    if(folder MATCHES "^\\$<" OR EXISTS "${folder}")
      list(APPEND present "${folder}")
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${present}")
endfunction()

# A virtual environment inside the source folder holds NumPy's headers, and CMake exports no path of the source folder.
function(_keep_environment_includes_private target)
  get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
  if(NOT includes)
    return()
  endif()
  set(wrapped "")
  foreach(folder IN LISTS includes)
    string(FIND "${folder}" "${CMAKE_SOURCE_DIR}/" position)
    if(position EQUAL 0)
      set(folder "$<BUILD_INTERFACE:${folder}>")
    endif()
    list(APPEND wrapped "${folder}")
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${wrapped}")
endfunction()

function(_mend_wheel_targets)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    if(target MATCHES "__rosidl_generator_py$")
      _drop_missing_includes(${target})
    endif()
  endforeach()
  if(TARGET ${PROJECT_NAME}__rosidl_generator_py)
    _keep_environment_includes_private(${PROJECT_NAME}__rosidl_generator_py)
  endif()
endfunction()
cmake_language(DEFER CALL _mend_wheel_targets)
