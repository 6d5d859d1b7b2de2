#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
out vec2 place;

void main() {
  place = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
  gl_Position = vec4(place, 1.0, 1.0);
}
