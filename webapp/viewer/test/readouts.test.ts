import { expect, it } from 'vitest';

import { parseGeometry } from '../src/geometry';
import { corners, spoken } from '../src/readouts';
import { WheelSteps } from '../src/wheel';

const geometry = parseGeometry({
  modality: 'CT',
  units: 'HU',
  rows: 256,
  columns: 512,
  frames: 30,
  dtype: 'int16',
  lossy: true,
  orientation: [1, 0, 0, 0, 1, 0],
});
const on = {
  label: 'Chest',
  geometry,
  frame: 2,
  window: { center: 40, width: 400 },
  scale: 0.556,
  readonly: false,
  sentence: 1,
};

it('says what is on screen in the corners', () => {
  expect(corners(on)).toEqual({
    topLeft: ['Chest', 'CT · axial', '512 × 256'],
    topRight: ['Lossy compression', '', 'New boxes belong to sentence 2'],
    bottomLeft: ['W 400  L 40 HU', 'Zoom 56 %'],
    bottomRight: ['Slice 3 / 30'],
  });
});

it('does not say modality and view twice', () => {
  const film = { ...geometry, modality: 'CR', viewPosition: 'PA', axes: null };
  expect(corners({ ...on, label: 'CR PA', geometry: film }).topLeft).toEqual([
    '',
    'CR · PA',
    '512 × 256',
  ]);
});

it('names neither a slice of one nor a window of colour', () => {
  const film = { ...on, geometry: { ...geometry, frames: 1 }, window: null };
  expect(corners(film).bottomRight).toEqual(['']);
  expect(spoken(film)).toBe('Chest');
  expect(spoken(on)).toBe('Chest. Slice 3 / 30. W 400  L 40 HU');
});

it.each([
  ['a notch', [[100, 0]], [1]],
  ['a notch back', [[-120, 0]], [-1]],
  ['three lines', [[3, 1]], [1]],
  ['a fast wheel', [[400, 0]], [4]],
  [
    'a touchpad',
    [
      [40, 0],
      [40, 0],
      [40, 0],
    ],
    [0, 0, 1],
  ],
  [
    'a touchpad that turns round',
    [
      [40, 0],
      [-40, 0],
      [-40, 0],
      [-40, 0],
    ],
    [0, 0, 0, -1],
  ],
] as [string, [number, number][], number[]][])('counts %s', (_name, events, steps) => {
  const wheel = new WheelSteps();
  expect(events.map(([delta, mode]) => wheel.take(delta, mode))).toEqual(steps);
});
