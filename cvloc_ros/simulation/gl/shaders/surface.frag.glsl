#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
uniform sampler2DArray patterns;
uniform float snow;
uniform float night;
in vec3 world;
in vec2 uv;
in vec3 normal;
in vec4 tint;
flat in uvec4 look;
out vec4 colour;

#include "light.glsl"

void main() {
  vec4 drawn = texture(patterns, vec3(uv, float(look.x)));
  float cut = 1.0 - tint.a;
  if (cut > 0.5 && drawn.a < 0.35) discard;
  vec3 body = drawn.rgb * mix(vec3(1.0), tint.rgb, cut > 0.5 ? 1.0 : drawn.a);
  body *= body;
  vec3 up = normalize(normal);
  body = mix(body, vec3(0.8), snow * smoothstep(0.35, 0.75, up.z) * 0.9);
  float own = night * float(look.y) / 255.0 * (drawn.a < 0.5 || cut > 0.5 ? 1.0 : 0.04);
  colour = shown(shade(body, world, up, look.z > 0u ? 0.45 : 0.0, own), cut > 0.5 ? min(1.0, drawn.a * 1.6) : 1.0);
}
