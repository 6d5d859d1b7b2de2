#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
uniform mat4 clip_from_world;
in vec3 in_position;
in vec2 in_uv;
in vec3 in_normal;
out vec3 world;
out vec2 uv;
out vec3 normal;

void main() {
  world = in_position;
  uv = in_uv;
  normal = in_normal;
  gl_Position = clip_from_world * vec4(in_position, 1.0);
}
