#version 330
// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
uniform mat3 world_from_face;
uniform vec4 reach;
uniform vec3 sun;
uniform vec3 sun_disc;
uniform vec3 zenith;
uniform vec3 horizon;
uniform vec3 hill_colour;
uniform float clouds;
uniform float exposure;
uniform float hills;
uniform float phase;
uniform sampler2D grain;
in vec2 place;
out vec4 colour;

void main() {
  vec2 at = reach.xy + (place * 0.5 + 0.5) * (reach.zw - reach.xy);
  vec3 ray = normalize(world_from_face * vec3(at, 1.0));
  float rise = max(ray.z, 0.0);
  vec3 light = mix(horizon, zenith, sqrt(rise));
  vec2 over = ray.xy / (rise + 0.12);
  float veil = texture(grain, over * 0.055 + phase).r * 0.6 + texture(grain, over.yx * 0.17 + phase).r * 0.4;
  float cloud = smoothstep(0.62 - 0.45 * clouds, 0.95 - 0.45 * clouds, veil) * smoothstep(0.0, 0.12, rise);
  light = mix(light, mix(horizon, vec3(dot(zenith + horizon, vec3(0.26))) * 1.15, 0.6), cloud * 0.85);
  float glow = dot(ray, sun);
  if (glow > 0.7) {
    float far = 1.0 - glow;
    light += sun_disc * (6.0 * smoothstep(0.0012, 0.0006, far) + 0.22 / (1.0 + far * 40.0)) * (1.0 - 0.8 * cloud)
      * smoothstep(0.7, 0.85, glow);
  }
  if (rise < 0.06) {
    float azimuth = atan(ray.y, ray.x);
    float ridge = 0.022 + hills * (0.012 * sin(azimuth * 3.0 + phase * 9.0) + 0.008 * sin(azimuth * 7.0 + phase * 31.0)
      + 0.004 * sin(azimuth * 19.0 + phase * 3.0) + 0.0015 * sin(azimuth * 61.0));
    light = mix(hill_colour, light, smoothstep(ridge - 0.001, ridge + 0.001, ray.z));
  }
  light *= exposure;
  colour = vec4(sqrt(light / (1.0 + 0.18 * light * light)), 1.0);
}
