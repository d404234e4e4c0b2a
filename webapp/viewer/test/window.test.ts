import { describe, expect, it } from 'vitest';

import { parseGeometry } from '../src/geometry';
import {
  CT_PRESETS,
  dragged,
  fullRange,
  offered,
  onKeys,
  readOut,
  storedRange,
} from '../src/window';

const image = (modality: string, units: string) =>
  parseGeometry({ id: 'a', modality, units, rows: 1, columns: 1, frames: 1, dtype: 'int16' });
const OWN = [{ name: 'Own', center: 10, width: 100 }];

describe('storedRange', () => {
  // PS3.3 C.11.2.1.2.1: black at c - 0.5 - (w-1)/2, white at c - 0.5 + (w-1)/2.
  it('gives the ends of the LINEAR function', () => {
    expect(storedRange({ center: 40, width: 400 }, 1, 0)).toEqual({
      lower: -160,
      upper: 239,
      flipped: false,
    });
  });

  it('undoes the rescale', () => {
    expect(storedRange({ center: 40, width: 400 }, 2, -1000)).toEqual({
      lower: 420,
      upper: 619.5,
      flipped: false,
    });
  });

  it('changes black and white for a negative slope', () => {
    expect(storedRange({ center: 40, width: 400 }, -1, 0)).toEqual({
      lower: -239,
      upper: 160,
      flipped: true,
    });
  });

  it('keeps the two ends apart for a width of 1', () => {
    const { lower, upper } = storedRange({ center: 10, width: 1 }, 1, 0);
    expect(lower).toBe(9.5);
    expect(upper).toBeGreaterThan(lower);
  });
});

it('spans the whole range where an image brings no window', () => {
  const window = fullRange(0, 255, 1, 0);
  expect(window).toMatchObject({ center: 128, width: 256 });
  expect(storedRange(window, 1, 0)).toMatchObject({ lower: 0, upper: 255 });
});

describe('dragged', () => {
  it('widens to the right and raises the level downwards', () => {
    expect(dragged({ center: 40, width: 400 }, 64, -32, 400)).toEqual({ center: -10, width: 500 });
  });

  it('never goes below a width of 1', () => {
    expect(dragged({ center: 40, width: 400 }, -5000, 0, 400).width).toBe(1);
  });

  it('keeps fractions for narrow ranges', () => {
    expect(dragged({ center: 2, width: 8 }, 10, 0, 8).width).toBe(8.31);
  });
});

describe('presets', () => {
  it('puts the usual five on the keys for CT in HU', () => {
    expect(onKeys(image('CT', 'HU'), OWN).map(({ width, center }) => [width, center])).toEqual([
      [400, 40],
      [1500, -600],
      [150, 90],
      [2500, 480],
      [80, 40],
    ]);
    expect(offered(image('CT', 'HU'), OWN)).toEqual([...OWN, ...CT_PRESETS]);
  });

  it.each([
    ['DX', 'US'],
    ['CT', 'US'],
  ])('offers only its own windows for %s in %s', (modality, units) => {
    expect(onKeys(image(modality, units), OWN)).toEqual(OWN);
    expect(offered(image(modality, units), OWN)).toEqual(OWN);
  });
});

it('reads out width and level with the unit', () => {
  expect(readOut({ center: -600, width: 1500 }, 'HU')).toBe('W 1500  L −600 HU');
  expect(readOut({ center: 2.5, width: 8.31 }, 'US')).toBe('W 8.31  L 2.50');
});
