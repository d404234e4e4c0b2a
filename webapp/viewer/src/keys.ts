/**
 * Which key does what inside the viewer.
 *
 * Letters that the reading page needs for judging sentences (A, X, E, M, J, K, S, N and digits)
 * are left alone. The listener that uses this sits on the viewer's own element, so that no
 * single letter acts while the focus is elsewhere (WCAG 2.1.4).
 */

export type Tool = 'window' | 'pan' | 'zoom' | 'box';
export type Command =
  | Tool
  | 'previous'
  | 'next'
  | 'pageUp'
  | 'pageDown'
  | 'first'
  | 'last'
  | 'zoomIn'
  | 'zoomOut'
  | 'fit'
  | 'invert'
  | 'reset'
  | 'preset1'
  | 'preset2'
  | 'preset3'
  | 'preset4'
  | 'preset5'
  | 'previousImage'
  | 'nextImage'
  | 'delete'
  | 'escape'
  | 'help';

/** What of a KeyboardEvent decides. */
export interface Key {
  key: string;
  code: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  altKey: boolean;
  metaKey: boolean;
}

/** Where the event came from: a slider keeps its arrows, a button its Space. */
export type Origin = 'text' | 'slider' | 'button' | 'other';

const BY_KEY: Readonly<Record<string, Command>> = {
  ArrowUp: 'previous',
  ArrowLeft: 'previous',
  ArrowDown: 'next',
  ArrowRight: 'next',
  PageUp: 'pageUp',
  PageDown: 'pageDown',
  Home: 'first',
  End: 'last',
  w: 'window',
  p: 'pan',
  z: 'zoom',
  b: 'box',
  i: 'invert',
  '+': 'zoomIn',
  '-': 'zoomOut',
  '−': 'zoomOut',
  '=': 'fit',
  ' ': 'reset',
  '[': 'previousImage',
  ']': 'nextImage',
  Delete: 'delete',
  Backspace: 'delete',
  Escape: 'escape',
  '?': 'help',
};

const SLIDER_KEEPS = new Set([
  'ArrowUp',
  'ArrowLeft',
  'ArrowDown',
  'ArrowRight',
  'PageUp',
  'PageDown',
  'Home',
  'End',
]);

/** Return the command of a key press, or null when the viewer has no business with it. */
export function commandFor(press: Key, origin: Origin): Command | null {
  if (origin === 'text' || press.ctrlKey || press.altKey || press.metaKey) return null;
  if (origin === 'slider' && SLIDER_KEEPS.has(press.key)) return null;
  if (origin === 'button' && press.key === ' ') return null;
  // The digit row by position: Shift+1 types another character on most layouts.
  const digit = /^Digit([1-5])$/.exec(press.code)?.[1];
  if (press.shiftKey && digit) return `preset${digit}` as Command;
  const key = press.key.length === 1 ? press.key.toLowerCase() : press.key;
  return BY_KEY[key] ?? null;
}

/** Say what kind of control an event's target is. */
export function originOf(target: EventTarget | null): Origin {
  if (!(target instanceof HTMLElement)) return 'other';
  if (target instanceof HTMLInputElement && target.type === 'range') return 'slider';
  if (target.isContentEditable || target.matches('input, textarea, select')) return 'text';
  return target.matches('button, a[href]') ? 'button' : 'other';
}
