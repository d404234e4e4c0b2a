/** Every sentence and name a reader sees in the viewer. */

import type { Command } from './keys';

export const NOTICE = 'DRAFT – NOT FOR CLINICAL USE';

export const VIEWER = 'Image viewer';
export const EMPTY = 'No image is open.';
export const OPENING = 'Loading image…';
export const FAILED = 'This image could not be loaded.';
export const SIGNED_OUT = 'Your session has ended. Sign in again to see this image.';
export const TRY_AGAIN = 'Try again';
export const CUSTOM_WINDOW = 'Custom';
export const FULL_RANGE = 'Full range';
export const SLICE_SLIDER = 'Slice';
export const WINDOW_PRESET = 'Window preset';
export const IMAGES = 'Images of this study';
export const TOOLBAR = 'Viewer tools';
export const READ_ONLY = 'Read only';
export const LOSSY = 'Lossy compression';

export const loadingSlice = (number: number): string => `Loading slice ${number}…`;
export const loaded = (count: number, total: number): string => `Loading ${count} of ${total}`;
export const slice = (number: number, total: number): string => `Slice ${number} / ${total}`;
export const zoom = (scale: number): string => `Zoom ${Math.round(scale * 100)} %`;
export const sentence = (index: number): string => `Sentence ${index + 1}`;
export const boxesBelongTo = (index: number): string => `New boxes belong to sentence ${index + 1}`;
export const boxSelected = (label: string): string =>
  `Box selected${label ? `, ${label}` : ''}. Press Delete to remove it.`;
export const imageOpened = (label: string, frames: number): string =>
  frames > 1 ? `${label}, ${frames} slices` : label;

/** Names under the toolbar's icons, and the longer explanation shown on hover. */
export const BUTTONS: Partial<Record<Command, { name: string; tip: string }>> = {
  window: { name: 'Window', tip: 'Window and level: drag across for width, up and down for level' },
  pan: { name: 'Pan', tip: 'Move the image: drag (or drag with the middle button)' },
  zoom: { name: 'Zoom', tip: 'Zoom: drag up and down (or drag with the right button)' },
  box: { name: 'Box', tip: 'Mark a rectangle' },
  invert: { name: 'Invert', tip: 'Swap black and white' },
  zoomIn: { name: 'Larger', tip: 'Zoom in' },
  zoomOut: { name: 'Smaller', tip: 'Zoom out' },
  fit: { name: 'Fit', tip: 'Fit the image to the pane' },
  reset: { name: 'Reset', tip: 'Reset window, zoom, position and inversion' },
  delete: { name: 'Delete', tip: 'Delete the selected box' },
  help: { name: 'Keys', tip: 'Show the keyboard shortcuts' },
};

export const HELP = {
  title: 'Keys and mouse',
  close: 'Close',
  scope: 'Keys work while the viewer has the focus, never while you type in a text field.',
  mouse: [
    ['Wheel', 'previous or next slice'],
    ['Left drag', 'the chosen tool'],
    ['Right drag', 'zoom'],
    ['Middle drag', 'move the image'],
  ],
  keys: [
    ['↑ ↓', 'previous, next slice'],
    ['PgUp PgDn', 'ten slices back, on'],
    ['Home End', 'first, last slice'],
    ['W P Z B', 'window, pan, zoom, box'],
    ['Shift+1 … 5', 'window presets'],
    ['+ − =', 'zoom in, zoom out, fit'],
    ['I', 'invert'],
    ['Space', 'reset the view'],
    ['[ ]', 'previous, next image'],
    ['Delete', 'delete the selected box'],
    ['Esc', 'cancel, deselect, close'],
    ['?', 'this list'],
  ],
} as const;
