import { expect, it } from 'vitest';

import { decode } from '../src/pixels';
import { nextWanted } from '../src/queue';

it('reads little-endian signed values and their extremes', () => {
  const bytes = new Uint8Array([0x18, 0xfc, 0xff, 0x0b, 0x00, 0x00]).buffer;
  const { pixels, min, max } = decode(bytes, 'int16', false);
  expect([...pixels]).toEqual([-1000, 3071, 0]);
  expect([min, max]).toEqual([-1000, 3071]);
});

it('reads the upper half of unsigned values', () => {
  expect([...decode(new Uint8Array([0xff, 0xff]).buffer, 'uint16', false).pixels]).toEqual([65535]);
});

it('adds an opaque sample to colour', () => {
  const { pixels } = decode(new Uint8Array([1, 2, 3, 4, 5, 6]).buffer, 'uint8', true);
  expect([...pixels]).toEqual([1, 2, 3, 255, 4, 5, 6, 255]);
});

it('fetches the nearest frame first, the later of two', () => {
  const have = new Set<number>();
  const order = Array.from({ length: 5 }, () => {
    const next = nextWanted(5, 1, 99, (frame) => have.has(frame))!;
    have.add(next);
    return next;
  });
  expect(order).toEqual([1, 2, 0, 3, 4]);
  expect(nextWanted(5, 1, 99, (frame) => have.has(frame))).toBeNull();
});

it('stops where the cache would push near frames out', () => {
  const have = new Set([9, 10, 11]);
  expect(nextWanted(100, 10, 3, (frame) => have.has(frame))).toBeNull();
});
