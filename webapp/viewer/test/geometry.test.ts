import { describe, expect, it } from 'vitest';

import {
  frameBytes,
  GeometryError,
  markers,
  parseGeometry,
  pixelToWorld,
  planeName,
  planeOf,
  worldToPixel,
} from '../src/geometry';

const BODY = {
  id: 'a',
  modality: 'CT',
  rows: 300,
  columns: 160,
  frames: 2,
  dtype: 'int16',
  samples: 1,
  slope: 1,
  intercept: 0,
  units: 'HU',
  inverted: false,
  row_spacing_mm: 0.6,
  column_spacing_mm: 0.9,
  orientation: [0.8, 0.6, 0, 0, 0, -1],
  positions: [
    [-30, 12, 80],
    [-30, 12, 83],
  ],
  windows: [{ name: 'Lung', center: -600, width: 1500 }],
  view_position: '',
  lossy: false,
};

describe('parseGeometry', () => {
  it('keeps what the server says', () => {
    const geometry = parseGeometry(BODY);
    expect(geometry.spacing).toEqual({ row: 0.6, column: 0.9 });
    expect(geometry.positions[1]).toEqual([-30, 12, 83]);
    expect(geometry.windows).toEqual([{ name: 'Lung', center: -600, width: 1500 }]);
    expect(frameBytes(geometry)).toBe(300 * 160 * 2);
  });

  it.each([
    ['a dtype it cannot draw', { dtype: 'float32' }],
    ['no rows', { rows: 0 }],
    ['two samples', { samples: 2 }],
    ['16-bit colour', { samples: 3 }],
    ['a frame count that is no number', { frames: '2' }],
  ])('refuses %s', (_name, change) => {
    expect(() => parseGeometry({ ...BODY, ...change })).toThrow(GeometryError);
  });

  it('takes one known spacing for none', () => {
    expect(parseGeometry({ ...BODY, column_spacing_mm: null }).spacing).toBeNull();
  });

  it.each([
    ['missing', null],
    ['not perpendicular', [1, 0, 0, 0.5, 0.8, 0]],
    ['of zero length', [0, 0, 0, 0, 1, 0]],
    ['not numbers', [1, 0, 0, 0, 1, 'x']],
  ])('shows no edge letters for axes that are %s', (_name, orientation) => {
    const geometry = parseGeometry({ ...BODY, orientation });
    expect(markers(geometry)).toBeNull();
    expect(planeName(geometry)).toBe('');
  });

  it('leaves out windows that DICOM does not define', () => {
    const windows = [
      { name: 'x', center: 1, width: 0 },
      { center: 5, width: 10 },
    ];
    expect(parseGeometry({ ...BODY, windows }).windows).toEqual([
      { name: 'Window 2', center: 5, width: 10 },
    ]);
  });
});

describe('pixels and patient space', () => {
  // PS3.3 C.7.6.2.1.1 by hand: x = -30 + 0.8*0.9*100 = 42, y = 12 + 0.6*0.9*100 = 66, z = 80 - 0.6*50.
  it('follows the formula of the standard', () => {
    const world = pixelToWorld(planeOf(parseGeometry(BODY), 0), [100, 50]);
    [42, 66, 50].forEach((value, axis) => expect(world[axis]).toBeCloseTo(value, 9));
  });

  it('comes back to the same pixel', () => {
    const plane = planeOf(parseGeometry(BODY), 1);
    const [column, row] = worldToPixel(plane, pixelToWorld(plane, [33.25, 210.5]));
    expect(column).toBeCloseTo(33.25, 9);
    expect(row).toBeCloseTo(210.5, 9);
  });

  it('counts frames without positions one by one', () => {
    expect(planeOf(parseGeometry({ ...BODY, positions: null }), 1).origin).toEqual([0, 0, 1]);
  });
});

describe('edge letters', () => {
  it.each([
    ['axial', [1, 0, 0, 0, 1, 0], { right: 'L', left: 'R', bottom: 'P', top: 'A' }],
    ['coronal', [1, 0, 0, 0, 0, -1], { right: 'L', left: 'R', bottom: 'F', top: 'H' }],
    ['sagittal', [0, 1, 0, 0, 0, -1], { right: 'P', left: 'A', bottom: 'F', top: 'H' }],
    ['oblique', [0.8, 0.6, 0, 0, 0, -1], { right: 'LP', left: 'RA', bottom: 'F', top: 'H' }],
  ])('names the edges of an %s plane', (name, orientation, edges) => {
    const geometry = parseGeometry({ ...BODY, orientation });
    expect(markers(geometry)).toEqual(edges);
    expect(planeName(geometry)).toBe(name);
  });
});
