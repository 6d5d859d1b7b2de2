#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
// Distance along the optical axis of a face: interpolated where the four neighbours lie on one plane.
uniform sampler2D table;
uniform sampler2D faces;
out float depth;

void main() {
  vec4 from = texelFetch(table, ivec2(gl_FragCoord.xy), 0);
  vec2 at = from.xy * vec2(textureSize(faces, 0)) - 0.5;
  ivec2 low = ivec2(floor(at));
  vec2 part = at - vec2(low);
  float a = texelFetch(faces, low, 0).r, b = texelFetch(faces, low + ivec2(1, 0), 0).r;
  float c = texelFetch(faces, low + ivec2(0, 1), 0).r, d = texelFetch(faces, low + ivec2(1, 1), 0).r;
  float least = min(min(a, b), min(c, d)), most = max(max(a, b), max(c, d));
  float bend = abs(a + d - b - c);
  float smooth_ = mix(mix(a, b, part.x), mix(c, d, part.x), part.y);
  float near = part.y < 0.5 ? (part.x < 0.5 ? a : b) : (part.x < 0.5 ? c : d);
  float inverse = bend < 0.002 * most + 1e-7 && least > 0.0 ? smooth_ : near;
  depth = from.w > 0.5 && inverse > 0.0 ? from.z / inverse : 1.0 / 0.0;
}
