/** What lies over the pane: corner texts, edge letters, the notice, and the cover. */

import { el, say, toggle } from './dom';
import { NOTICE, TRY_AGAIN } from './words';

export interface Corners {
  topLeft: string[];
  topRight: string[];
  bottomLeft: string[];
  bottomRight: string[];
}

export interface Edges {
  left: string;
  right: string;
  top: string;
  bottom: string;
}

export class Overlay {
  readonly root = el('div', 'ovr-overlay');
  /** Opaque: nothing of a previous image may show through while it says something else. */
  readonly cover = el('div', 'ovr-cover', { role: 'alert' });
  readonly labels = el('div', 'ovr-labels', { 'aria-hidden': 'true' });
  private readonly message = el('p', 'ovr-message');
  private readonly retry = el('button', 'ovr-retry', { type: 'button' }, TRY_AGAIN);
  private readonly pending = el('div', 'ovr-pending', { role: 'status' });
  private readonly corners: Record<keyof Corners, HTMLDivElement>;
  private readonly edges: Record<keyof Edges, HTMLDivElement>;
  private onRetry: (() => void) | null = null;

  constructor() {
    const corner = (name: string): HTMLDivElement => el('div', `ovr-corner ovr-${name}`);
    const edge = (name: string): HTMLDivElement => el('div', `ovr-edge ovr-${name}`);
    this.corners = {
      topLeft: corner('tl'),
      topRight: corner('tr'),
      bottomLeft: corner('bl'),
      bottomRight: corner('br'),
    };
    this.edges = {
      left: edge('left'),
      right: edge('right'),
      top: edge('top'),
      bottom: edge('bottom'),
    };
    this.root.append(
      this.labels,
      ...Object.values(this.corners),
      ...Object.values(this.edges),
      el('div', 'ovr-notice', {}, NOTICE),
      this.pending,
    );
    this.cover.append(this.message, this.retry);
    this.retry.addEventListener('click', () => this.onRetry?.());
    this.wait(null);
  }

  show(corners: Corners, edges: Edges | null): void {
    for (const [name, lines] of Object.entries(corners) as [keyof Corners, string[]][]) {
      say(this.corners[name], lines.filter(Boolean).join('\n'));
    }
    for (const [name, element] of Object.entries(this.edges) as [keyof Edges, HTMLDivElement][]) {
      say(element, edges?.[name] ?? '');
    }
  }

  clear(): void {
    this.show({ topLeft: [], topRight: [], bottomLeft: [], bottomRight: [] }, null);
  }

  /** Hide the pane behind a sentence; with a way to try again where that can help. */
  hide(text: string, retry: (() => void) | null): void {
    this.onRetry = retry;
    toggle(this.retry, retry !== null);
    toggle(this.cover, true);
    say(this.message, text);
  }

  reveal(): void {
    this.onRetry = null;
    toggle(this.cover, false);
  }

  get isHiding(): boolean {
    return !this.cover.hidden;
  }

  /** A small word that something is on its way, while what is on screen stays true. */
  wait(text: string | null): void {
    say(this.pending, text ?? '');
    toggle(this.pending, text !== null);
  }
}
