#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
// Foliage and fences have holes. They are drawn apart, because what may have holes cannot be left out unseen.
#define CUT_OUT 0
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
#if CUT_OUT
  if (drawn.a < 0.35) discard;
  vec3 body = drawn.rgb * tint.rgb;
  float alpha = min(1.0, drawn.a * 1.6);
#else
  vec3 body = drawn.rgb * mix(vec3(1.0), tint.rgb, drawn.a);
  float alpha = 1.0;
#endif
  body *= body;
  vec3 up = normalize(normal);
  body = mix(body, vec3(0.8), snow * smoothstep(0.35, 0.75, up.z) * 0.9);
  float own = night * float(look.y) / 255.0 * (drawn.a < 0.5 ? 1.0 : 0.04);
  colour = shown(shade(body, world, up, 0.35 * float(CUT_OUT), own), alpha);
}
