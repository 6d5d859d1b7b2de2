#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
// From the rendered faces to the pixels of the exact camera model.
uniform sampler2D table;
uniform sampler2D faces;
out vec4 colour;

void main() {
  vec4 from = texelFetch(table, ivec2(gl_FragCoord.xy), 0);
  colour = from.w > 0.5 ? texture(faces, from.xy) : vec4(0.0, 0.0, 0.0, 1.0);
}
