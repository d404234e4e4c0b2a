/** What the corners of the pane say, and what a screen reader is told instead. */

import { planeName, type Geometry } from './geometry';
import type { Corners } from './overlay';
import { readOut, type GreyWindow } from './window';
import { boxesBelongTo, LOSSY, READ_ONLY, slice, zoom } from './words';

export interface OnScreen {
  label: string;
  geometry: Geometry;
  frame: number;
  /** Null for colour, which has none. */
  window: GreyWindow | null;
  /** CSS pixels per image pixel. */
  scale: number;
  readonly: boolean;
  /** The sentence that a box drawn now would belong to. */
  sentence: number | null;
}

export function corners(on: OnScreen): Corners {
  const { geometry } = on;
  const kind = [geometry.modality, geometry.viewPosition].filter(Boolean);
  return {
    topLeft: [
      on.label === kind.join(' ') ? '' : on.label, // said by the next line already
      [...kind, planeName(geometry)].filter(Boolean).join(' · '),
      `${geometry.columns} × ${geometry.rows}`,
    ],
    topRight: [
      geometry.lossy ? LOSSY : '',
      on.readonly ? READ_ONLY : '',
      on.sentence === null ? '' : boxesBelongTo(on.sentence),
    ],
    bottomLeft: [grey(on), zoom(on.scale)],
    bottomRight: [position(on)],
  };
}

export function spoken(on: OnScreen): string {
  return [on.label, position(on), grey(on)].filter(Boolean).join('. ');
}

const position = ({ geometry, frame }: OnScreen): string =>
  geometry.frames > 1 ? slice(frame + 1, geometry.frames) : '';

const grey = ({ window, geometry }: OnScreen): string =>
  window ? readOut(window, geometry.units) : '';
