#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
uniform sampler2D ground;
uniform sampler2D grain;
uniform float grain_depth;
uniform float taps;
in vec3 world;
in vec2 uv;
in vec3 normal;
out vec4 colour;

#include "light.glsl"

// Anisotropic filtering written out: the drivers' own is ten times slower on the CPU together with multisampling.
vec3 filtered(vec2 at) {
  vec2 size = vec2(textureSize(ground, 0));
  vec2 across = dFdx(at), down = dFdy(at);
  float a = length(across * size), b = length(down * size);
  vec2 way = a > b ? across : down;
  float wide = max(max(a, b), 1.0), narrow = max(min(a, b), 1.0);
  int count = int(clamp(ceil(wide / narrow - 0.3), 1.0, taps));
  float level = log2(wide / float(count));
  vec3 sum = vec3(0.0);
  for (int k = 0; k < count; ++k) {
    sum += textureLod(ground, at + way * ((float(k) + 0.5) / float(count) - 0.5), level).rgb;
  }
  return sum / float(count);
}

void main() {
  vec3 body = filtered(uv);
  body *= 1.0 + grain_depth * (texture(grain, world.xy * 0.83).r - 0.5);
  colour = shown(shade(body * body, world, normalize(normal), 0.0, 0.0), 1.0);
}
