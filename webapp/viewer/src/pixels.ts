/** Raw frame bytes to numbers. */

import type { Dtype } from './geometry';

export type Pixels = Int16Array | Uint16Array | Uint8Array;

export interface Decoded {
  pixels: Pixels;
  min: number;
  max: number;
}

/**
 * View little-endian rows as numbers and find their extremes.
 *
 * Every browser this runs on is little-endian, as typed arrays are on x86 and ARM, so no byte is
 * swapped. `rgba` adds the opaque fourth sample that the CPU renderer wants for colour.
 */
export function decode(bytes: ArrayBuffer, dtype: Dtype, rgba: boolean): Decoded {
  const pixels = rgba ? withAlpha(new Uint8Array(bytes)) : view(bytes, dtype);
  if (rgba) return { pixels, min: 0, max: 255 };
  let min = Infinity;
  let max = -Infinity;
  for (let i = 0; i < pixels.length; i += 1) {
    const value = pixels[i]!;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { pixels, min, max };
}

function view(bytes: ArrayBuffer, dtype: Dtype): Pixels {
  if (dtype === 'int16') return new Int16Array(bytes);
  return dtype === 'uint16' ? new Uint16Array(bytes) : new Uint8Array(bytes);
}

function withAlpha(rgb: Uint8Array): Uint8Array {
  const count = rgb.length / 3;
  const rgba = new Uint8Array(count * 4).fill(255);
  for (let pixel = 0; pixel < count; pixel += 1) {
    rgba[4 * pixel] = rgb[3 * pixel]!;
    rgba[4 * pixel + 1] = rgb[3 * pixel + 1]!;
    rgba[4 * pixel + 2] = rgb[3 * pixel + 2]!;
  }
  return rgba;
}
