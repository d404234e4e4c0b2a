/**
 * Entry: waits for the page's slot, mounts the viewer there, and follows the page.
 *
 * A page of the app comes and goes without loading anew, and nobody tells a script when an element
 * disappears; a MutationObserver does. The script needs no inline code and no `eval`.
 */

import { Outlet, SLOT, stateIsField, stateText } from './bridge';
import { parseState } from './protocol';
import styles from './style.css?inline';
import { Viewer } from './viewer';

const FIELD_POLL_MS = 250;

let started = false;
let viewer: Viewer | null = null;
let outlet: Outlet | null = null;
let lastText = '';
let lastCase: string | null = null;

/** Start watching the page; further calls do nothing. */
export function boot(): void {
  if (started) return;
  started = true;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  new MutationObserver(look).observe(document.documentElement, {
    childList: true,
    subtree: true,
    characterData: true,
  });
  setInterval(() => {
    if (viewer && stateIsField()) follow();
  }, FIELD_POLL_MS);
  look();
}

function look(): void {
  if (viewer && !viewer.isConnected) unmount();
  const slot = document.getElementById(SLOT);
  if (slot && !viewer) mount(slot);
  if (viewer) follow();
}

function mount(slot: HTMLElement): void {
  const out = new Outlet(slot);
  outlet = out;
  viewer = new Viewer(
    slot,
    (view) => out.setView(view),
    (regions) => out.setRegions(regions),
  );
}

function unmount(): void {
  outlet?.close();
  viewer?.destroy();
  viewer = null;
  outlet = null;
  lastText = '';
  lastCase = null;
}

function follow(): void {
  const text = stateText();
  if (text === lastText) return;
  lastText = text;
  const state = parseState(text);
  if (!state) return;
  if (state.case_id !== lastCase) outlet!.begin(state.case_id, state.regions);
  lastCase = state.case_id;
  viewer!.apply(state);
}

boot();
