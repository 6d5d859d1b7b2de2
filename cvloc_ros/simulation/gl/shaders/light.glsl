// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
// Light of the day, shadow and haze; colours are squared here, which is near enough to linear.
uniform vec3 eye;
uniform vec3 sun;
uniform vec3 sun_colour;
uniform vec3 sky_colour;
uniform vec3 bounce_colour;
uniform vec3 haze_colour;
uniform float haze_per_m;
uniform float exposure;
uniform float headlights;
uniform vec2 ahead;
uniform mat4 sun_from_world;
uniform sampler2DShadow shadow_map;
uniform sampler2D lamp_map;
uniform vec4 lamp_area;

float lit(vec3 world, vec3 normal) {
  vec4 place = sun_from_world * vec4(world + normal * 0.15, 1.0);
  vec3 at = place.xyz * 0.5 + 0.5;
  if (any(lessThan(at.xy, vec2(0.0))) || any(greaterThan(at.xy, vec2(1.0)))) return 1.0;
  return texture(shadow_map, vec3(at.xy, at.z - 0.0012));
}

vec3 shade(vec3 colour, vec3 world, vec3 normal, float soft, float glow) {
  float facing = dot(normal, sun);
  facing = mix(max(facing, 0.0), 0.5 + 0.5 * facing, soft);
  vec3 light = sun_colour * (facing > 0.0 ? facing * lit(world, normal) : 0.0);
  light += mix(bounce_colour, sky_colour, 0.5 + 0.5 * normal.z);
  if (lamp_area.z > 0.0) {
    light += texture(lamp_map, (world.xy - lamp_area.xy) / lamp_area.zw).rgb * exp(-max(world.z - 1.0, 0.0) / 4.0);
  }
  vec3 ray = world - eye;
  float far = length(ray);
  if (headlights > 0.0) {
    float along = dot(ray.xy, ahead), aside = abs(ray.x * ahead.y - ray.y * ahead.x);
    float cone = smoothstep(0.65, 0.0, aside / max(along, 0.1)) * smoothstep(1.0, 5.0, along);
    light += vec3(1.0, 0.95, 0.85) * headlights * cone / (1.0 + along * along / 160.0);
  }
  vec3 seen = colour * light + vec3(1.0, 0.82, 0.5) * glow;
  return mix(seen, haze_colour, 1.0 - exp(-far * haze_per_m));
}

vec4 shown(vec3 light, float alpha) {
  light *= exposure;
  return vec4(sqrt(light / (1.0 + 0.18 * light * light)), alpha);
}
