/**
 * Grey-level windows: DICOM's LINEAR function, in the units people read (HU for CT).
 *
 * The renderer works on stored values, so a window is turned into the two stored values that
 * become black and white (PS3.3 C.11.2.1.2.1); a negative slope swaps them.
 */

import type { Geometry } from './geometry';
import { FULL_RANGE } from './words';

export interface GreyWindow {
  /** In the image's units. */
  center: number;
  /** In the image's units, at least 1. */
  width: number;
}

export interface NamedWindow extends GreyWindow {
  name: string;
}

export interface StoredRange {
  lower: number;
  upper: number;
  /** True where a rising stored value means a falling unit: black and white change places. */
  flipped: boolean;
}

export const CT_PRESETS: readonly NamedWindow[] = [
  { name: 'Soft tissue', center: 40, width: 400 },
  { name: 'Lung', center: -600, width: 1500 },
  { name: 'Liver', center: 90, width: 150 },
  { name: 'Bone', center: 480, width: 2500 },
  { name: 'Brain', center: 40, width: 80 },
];

/** 8-bit colour is shown as it is: this window maps 0..255 onto itself. */
export const COLOUR_WINDOW: NamedWindow = { name: FULL_RANGE, center: 128, width: 256 };

/** Stored values that the window maps onto black and white. */
export function storedRange(window: GreyWindow, slope: number, intercept: number): StoredRange {
  const low = window.center - 0.5 - (window.width - 1) / 2;
  // A width of 1 is a step in DICOM; the renderer needs two different values.
  const high = low + Math.max(window.width - 1, 0.01);
  const a = (low - intercept) / slope;
  const b = (high - intercept) / slope;
  return { lower: Math.min(a, b), upper: Math.max(a, b), flipped: slope < 0 };
}

/** The window in which the given stored extremes are just black and just white. */
export function fullRange(min: number, max: number, slope: number, intercept: number): NamedWindow {
  const a = min * slope + intercept;
  const b = max * slope + intercept;
  const low = Math.min(a, b);
  const high = Math.max(a, b);
  return { name: FULL_RANGE, center: (low + high + 1) / 2, width: high - low + 1 };
}

/** What a drag of `dx`, `dy` pixels makes of a window; `reference` is the default width. */
export function dragged(start: GreyWindow, dx: number, dy: number, reference: number): GreyWindow {
  const step = Math.max(reference, 1) / 256;
  const round = reference >= 64 ? Math.round : (x: number) => Math.round(x * 100) / 100;
  return {
    center: round(start.center + dy * step),
    width: Math.max(1, round(start.width + dx * step)),
  };
}

/** The windows offered for an image, its own first. */
export function offered(geometry: Geometry, own: readonly NamedWindow[]): NamedWindow[] {
  return isCt(geometry) ? [...own, ...CT_PRESETS] : [...own];
}

/** The windows on Shift+1 to Shift+5: the usual five for CT, otherwise the image's own. */
export function onKeys(geometry: Geometry, own: readonly NamedWindow[]): readonly NamedWindow[] {
  return isCt(geometry) ? CT_PRESETS : own.slice(0, 5);
}

/** Width and level as read out in the corner, with the unit where it is known. */
export function readOut(window: GreyWindow, units: string): string {
  const unit = units === 'HU' ? ' HU' : '';
  return `W ${figure(window.width)}  L ${figure(window.center)}${unit}`;
}

export function sameWindow(a: GreyWindow, b: GreyWindow): boolean {
  return a.center === b.center && a.width === b.width;
}

function isCt(geometry: Geometry): boolean {
  return geometry.modality === 'CT' && geometry.units === 'HU';
}

function figure(value: number): string {
  const text = Number.isInteger(value)
    ? String(value)
    : value.toFixed(Math.abs(value) < 10 ? 2 : 0);
  return text.replace('-', '−');
}
