#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
uniform mat4 clip_from_world;
in vec3 in_position;
in vec2 in_uv;
in vec4 in_normal;
in vec4 in_tint;
in uvec4 in_look;
out vec3 world;
out vec2 uv;
out vec3 normal;
out vec4 tint;
flat out uvec4 look;

void main() {
  world = in_position;
  uv = in_uv;
  normal = in_normal.xyz * 2.0 - 1.0;
  tint = in_tint;
  look = in_look;
  gl_Position = clip_from_world * vec4(in_position, 1.0);
}
