#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
// Soft darkness under things that move.
uniform sampler2DArray patterns;
in vec3 world;
in vec2 uv;
in vec3 normal;
in vec4 tint;
flat in uvec4 look;
out vec4 colour;

void main() {
  colour = vec4(0.0, 0.0, 0.0, 0.6 * texture(patterns, vec3(uv, float(look.x))).a);
}
