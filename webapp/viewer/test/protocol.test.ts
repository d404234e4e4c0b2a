import { describe, expect, it } from 'vitest';

import { mergeRegions, parseState, shows, tidyBox, type Region } from '../src/protocol';

const region = (id: string, change: Partial<Region> = {}): Region => ({
  id,
  type: 'bbox',
  coords: [1, 2, 3, 4],
  space: 'pixel',
  image_id: 'a',
  frame: 0,
  label: '',
  sentence: null,
  ...change,
});

describe('parseState', () => {
  it('finds the JSON between other words', () => {
    const state = parseState(
      'Copy {"case_id": "c", "images": [{"id": "a", "label": "<b>${x}</b>"}]} end',
    );
    expect(state).toEqual({
      case_id: 'c',
      images: [{ id: 'a', label: '<b>${x}</b>', sha256: '' }],
      selected_sentence: null,
      regions: [],
      readonly: false,
    });
  });

  it('keeps what is on screen until the case or the pixels of an image are others', () => {
    const of = (case_id: string, ...sha256: string[]) =>
      parseState(
        JSON.stringify({
          case_id,
          images: sha256.map((sha256, at) => ({ id: String(at), sha256 })),
        }),
      )!;
    expect(shows(null, of('c', 'x'))).toBe(false);
    expect(shows(of('c', 'x'), of('c', 'x'))).toBe(true);
    expect(shows(of('c', 'x'), of('c', 'x', 'y'))).toBe(true);
    expect(shows(of('c', 'x'), of('d', 'x'))).toBe(false);
    expect(shows(of('c', 'x', 'y'), of('c', 'x', 'masked'))).toBe(false);
  });

  it.each(['', 'nothing', '{"case_id": 3}', '{"case_id": "c"', '[]'])(
    'takes %j for no state',
    (text) => {
      expect(parseState(text)).toBeNull();
    },
  );

  it('leaves out what is not a box in pixels', () => {
    const good = {
      id: 'r',
      type: 'bbox',
      coords: [1, 2, 3, 4],
      space: 'pixel',
      image_id: 'a',
      frame: 2,
    };
    const regions = [
      good,
      { ...good, space: 'patient_mm' },
      { ...good, coords: [1] },
      'x',
      { ...good, id: 1 },
    ];
    const state = parseState(JSON.stringify({ case_id: 'c', regions }));
    expect(state?.regions).toEqual([region('r', { frame: 2 })]);
  });

  it('knows the sentence by its number or by the label', () => {
    const box = {
      id: 'r',
      type: 'bbox',
      coords: [1, 2, 3, 4],
      space: 'pixel',
      image_id: 'a',
      frame: 0,
    };
    const read = (change: object) =>
      parseState(JSON.stringify({ case_id: 'c', regions: [{ ...box, ...change }] }))?.regions[0];
    expect(read({ label: 'Sentence 3' })).toMatchObject({ sentence: 2 });
    expect(read({ sentence: 2 })).toMatchObject({ label: 'Sentence 3' });
    expect(read({ sentence: 2, label: 'effusion' })).toMatchObject({
      sentence: 2,
      label: 'effusion',
    });
  });
});

describe('mergeRegions', () => {
  const [a, b, c] = [region('a'), region('b'), region('c')] as const;
  const moved = region('a', { coords: [5, 6, 7, 8] });

  it.each([
    ['keeps a box the page has not heard of', [], [], [a], [a]],
    ['keeps it once the page echoes it', [], [a], [a], [a]],
    ['keeps it when the page answers with an older list', [a], [a], [a, b], [a, b]],
    ['takes a box the page adds', [a], [a, c], [a, b], [a, b, c]],
    ['drops a box the page removes', [a, b], [b], [a, b], [b]],
    ['does not bring back a deleted box', [a], [a], [], []],
    ['takes the place the page gives a box', [a], [moved], [a], [moved]],
    ["keeps the reader's move over the page's old place", [a], [a], [moved], [moved]],
  ])('%s', (_name, base, theirs, ours, result) => {
    expect(mergeRegions(base, theirs, ours)).toEqual(result);
  });
});

it('orders, cuts and rounds the corners of a box', () => {
  expect(tidyBox([50.004, 30, 10.126, -4], 40, 20)).toEqual([10.13, -0.5, 39.5, 19.5]);
});
