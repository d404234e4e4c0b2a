/**
 * The two hidden elements through which the page and the viewer talk.
 *
 * The page writes JSON into `overread-viewer-state` (any element: text, or a text field's value)
 * and finds the viewer's JSON in the text field inside `overread-viewer-out`.
 */

import { outText, type Region, type View } from './protocol';

export const SLOT = 'overread-viewer';
const STATE = 'overread-viewer-state';
const OUT = 'overread-viewer-out';
const DEBOUNCE_MS = 150;

type Field = HTMLTextAreaElement | HTMLInputElement;

const field = (element: Element | null): Field | null =>
  element?.matches('textarea, input')
    ? (element as Field)
    : (element?.querySelector<Field>('textarea, input') ?? null);

/** The state's text as it is now, empty if there is none. */
export function stateText(): string {
  const element = document.getElementById(STATE);
  return field(element)?.value ?? element?.textContent ?? '';
}

/** Whether the state sits in a text field, whose value changes without a mutation. */
export function stateIsField(): boolean {
  return field(document.getElementById(STATE)) !== null;
}

/** Tells the page about the view and the regions: at once as events, a little later as text. */
export class Outlet {
  private view: View | null = null;
  private regions: Region[] = [];
  private viewText = '';
  private written = '';
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly slot: HTMLElement,
    private caseId = '',
  ) {}

  /** Another case: what was about to be written belongs to the one before. */
  begin(caseId: string, regions: Region[]): void {
    clearTimeout(this.timer);
    this.caseId = caseId;
    this.view = null;
    this.viewText = '';
    this.regions = regions;
  }

  setView(view: View | null): void {
    const text = JSON.stringify(view);
    if (!view || text === this.viewText) return;
    this.view = view;
    this.viewText = text;
    this.tell('overread:view', view);
  }

  setRegions(regions: Region[]): void {
    if (JSON.stringify(regions) === JSON.stringify(this.regions)) return;
    this.regions = regions;
    this.tell('overread:regions', { regions });
  }

  private tell(name: string, detail: unknown): void {
    this.slot.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write(), DEBOUNCE_MS);
  }

  private write(): void {
    const target = field(document.getElementById(OUT));
    const text = outText(this.caseId, this.view, this.regions);
    if (!target || text === this.written) return;
    this.written = text;
    // Through the prototype's setter and an event, as typing would: frameworks notice only that.
    const prototype =
      target instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
    Object.getOwnPropertyDescriptor(prototype.prototype, 'value')!.set!.call(target, text);
    target.dispatchEvent(new Event('input', { bubbles: true }));
    // Gradio takes the value from the first event, but runs `.input` handlers on a key press only.
    target.dispatchEvent(new KeyboardEvent('keypress', { bubbles: true }));
  }

  close(): void {
    clearTimeout(this.timer);
  }
}
