#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
// One over the distance along the optical axis: it is linear in the image on every plane.
#define CUT_OUT 0
uniform sampler2DArray patterns;
in vec2 uv;
in vec4 tint;
flat in uvec4 look;
out float inverse;

void main() {
#if CUT_OUT
  if (texture(patterns, vec3(uv, float(look.x))).a < 0.35) discard;
#endif
  inverse = gl_FragCoord.w;
}
