#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
in vec2 uv;
out float inverse;

void main() {
  inverse = gl_FragCoord.w;
}
