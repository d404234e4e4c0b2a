/**
 * What the page tells the viewer and what the viewer tells the page, both as JSON text.
 *
 * The page is the system of record. Its region list may be a moment old, so a list from the page
 * is merged with what the reader did meanwhile instead of replacing it.
 */

import { isRecord } from './geometry';
import type { GreyWindow } from './window';
import { sentence as sentenceLabel } from './words';

export interface Region {
  id: string;
  type: 'bbox';
  /** column0, row0, column1, row1 in pixels; 0 is the centre of the first pixel. */
  coords: [number, number, number, number];
  space: 'pixel';
  image_id: string;
  frame: number;
  label: string;
  /** Index of the sentence the region belongs to, from 0. */
  sentence: number | null;
}

export interface ReadingState {
  case_id: string;
  /** `sha256` of the pixels: it changes when some of them are masked. */
  images: { id: string; label: string; sha256: string }[];
  selected_sentence: number | null;
  regions: Region[];
  readonly: boolean;
}

export interface View {
  image_id: string;
  frame: number;
  window: GreyWindow;
  invert: boolean;
  /** Frames of this image that were on screen, ascending. */
  seen: number[];
}

/** Read the page's state out of text that may have other words around the JSON; null if none. */
export function parseState(text: string): ReadingState | null {
  const start = text.indexOf('{');
  const end = text.lastIndexOf('}');
  if (start < 0 || end < start) return null;
  let body: unknown;
  try {
    body = JSON.parse(text.slice(start, end + 1));
  } catch {
    return null;
  }
  if (!isRecord(body) || typeof body['case_id'] !== 'string') return null;
  return {
    case_id: body['case_id'],
    images: list(body['images']).flatMap((image) =>
      typeof image['id'] === 'string'
        ? [{ id: image['id'], label: text_(image['label']), sha256: text_(image['sha256']) }]
        : [],
    ),
    selected_sentence: index(body['selected_sentence']),
    regions: list(body['regions']).flatMap(region),
    readonly: body['readonly'] === true,
  };
}

/** Whether what is on screen may stay: the same case, and the pixels of its images as before. */
export function shows(before: ReadingState | null, now: ReadingState): boolean {
  const pixels = new Map(before?.images.map((image) => [image.id, image.sha256]));
  return (
    before?.case_id === now.case_id &&
    now.images.every(({ id, sha256 }) => !pixels.has(id) || pixels.get(id) === sha256)
  );
}

/** The text written for the page. */
export function outText(caseId: string, view: View | null, regions: readonly Region[]): string {
  return JSON.stringify({ case_id: caseId, view, regions });
}

/**
 * Bring the page's list and the reader's own changes together, region by region.
 *
 * Args: `base` what the page sent before, `theirs` what it sends now, `ours` what is on screen.
 */
export function mergeRegions(
  base: readonly Region[],
  theirs: readonly Region[],
  ours: readonly Region[],
): Region[] {
  const before = byId(base);
  const now = byId(theirs);
  const mine = byId(ours);
  const kept = ours.flatMap((own) => {
    const sent = now.get(own.id);
    const known = before.get(own.id);
    if (!sent) return known ? [] : [own];
    return known && !same(known, sent) ? [sent] : [own];
  });
  const added = theirs.filter((sent) => !mine.has(sent.id) && !before.has(sent.id));
  return [...kept, ...added];
}

/** A rectangle with its corners in order, cut to the image and rounded to hundredths of a pixel. */
export function tidyBox(
  coords: readonly [number, number, number, number],
  columns: number,
  rows: number,
): [number, number, number, number] {
  const fit = (value: number, size: number): number =>
    Math.round(Math.min(size - 0.5, Math.max(-0.5, value)) * 100) / 100;
  const [a, b, c, d] = coords;
  return [
    fit(Math.min(a, c), columns),
    fit(Math.min(b, d), rows),
    fit(Math.max(a, c), columns),
    fit(Math.max(b, d), rows),
  ];
}

function region(source: Record<string, unknown>): Region[] {
  const { id, coords, image_id, frame } = source;
  const isBox = Array.isArray(coords) && coords.length === 4 && coords.every(Number.isFinite);
  if (typeof id !== 'string' || typeof image_id !== 'string' || !isBox) return [];
  if (source['type'] !== 'bbox' || source['space'] !== 'pixel') return [];
  const bound = index(source['sentence']) ?? sentenceOf(text_(source['label']));
  return [
    {
      id,
      type: 'bbox',
      coords: coords as Region['coords'],
      space: 'pixel',
      image_id,
      frame: index(frame) ?? 0,
      label: text_(source['label']) || (bound === null ? '' : sentenceLabel(bound)),
      sentence: bound,
    },
  ];
}

function sentenceOf(label: string): number | null {
  const found = /^Sentence (\d+)$/.exec(label)?.[1];
  return found === undefined ? null : Number(found) - 1;
}

const byId = (regions: readonly Region[]): Map<string, Region> =>
  new Map(regions.map((entry) => [entry.id, entry]));

const same = (a: Region, b: Region): boolean => JSON.stringify(a) === JSON.stringify(b);

const list = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter(isRecord) : [];

const text_ = (value: unknown): string => (typeof value === 'string' ? value : '');

const index = (value: unknown): number | null =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : null;
