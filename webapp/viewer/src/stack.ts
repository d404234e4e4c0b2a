/**
 * The stack on screen: which image, which frame, how it is shown, and what was seen of it.
 *
 * Opening and scrolling are asynchronous; a later wish always wins over an earlier one that is
 * still loading, and a failed frame covers the pane instead of leaving another slice in view.
 */

import { ApiError, getJson } from './api';
import { Frames } from './frames';
import { parseGeometry, type Geometry } from './geometry';
import type { Overlay } from './overlay';
import type { Pane } from './pane';
import type { View } from './protocol';
import { COLOUR_WINDOW, fullRange, type GreyWindow, type NamedWindow } from './window';
import { FAILED, loadingSlice, OPENING, SIGNED_OUT } from './words';

const PATIENCE_MS = 150; // below this, saying "loading" would only flicker

/** How one image is shown; kept while another image of the case is on screen. */
interface Shown {
  frame: number;
  window: GreyWindow;
  own: NamedWindow[];
  invert: boolean;
  seen: Set<number>;
}

export class Stack {
  private geometries = new Map<string, Geometry>();
  private shown = new Map<string, Shown>();
  private frames: Frames | null = null;
  private wish = 0;
  private wantedId: string | null = null;
  /** The frame asked for, which may still be loading. */
  target = 0;

  constructor(
    private readonly pane: Pane,
    private readonly overlay: Overlay,
    private readonly onOpen: () => void,
    private readonly onProgress: (loaded: number, total: number) => void,
    private readonly onChange: () => void,
  ) {}

  get geometry(): Geometry | null {
    return this.frames?.geometry ?? null;
  }

  /** The image on screen or on its way there. */
  get wanted(): string | null {
    return this.wantedId;
  }

  get current(): Shown | null {
    return (this.frames && this.shown.get(this.frames.geometry.id)) ?? null;
  }

  get isColour(): boolean {
    return this.geometry?.samples === 3;
  }

  view(): View | null {
    const current = this.current;
    if (!this.geometry || !current || !this.pane.isOpen) return null;
    return {
      image_id: this.geometry.id,
      frame: current.frame,
      window: { center: current.window.center, width: current.window.width },
      invert: current.invert,
      seen: [...current.seen].sort((a, b) => a - b),
    };
  }

  /** Open an image of the case, at `frame` or where the reader left it. */
  async open(id: string, frame?: number): Promise<void> {
    const wish = (this.wish += 1);
    this.close();
    this.wantedId = id;
    this.overlay.hide(OPENING, null);
    try {
      const geometry =
        this.geometries.get(id) ?? parseGeometry(await getJson(`images/${encodeURIComponent(id)}`));
      if (wish !== this.wish) return;
      this.geometries.set(id, geometry);
      const frames = new Frames(geometry, (loaded) => this.onProgress(loaded, geometry.frames));
      this.frames = frames;
      const first = Math.min(
        frame ?? this.shown.get(id)?.frame ?? middle(geometry),
        geometry.frames - 1,
      );
      this.target = first;
      await frames.load(first);
      if (wish !== this.wish) return;
      if (!this.shown.has(id)) this.shown.set(id, firstLook(frames, first));
      await this.pane.open(frames, first);
      if (wish !== this.wish) return;
      this.overlay.reveal();
      this.applyGrey();
      this.onOpen();
      frames.prefetch(first);
    } catch (error) {
      if (wish === this.wish) this.fail(error, () => void this.open(id, frame));
    }
  }

  /** Scroll to a frame; out of range means the nearest end. */
  async go(frame: number): Promise<void> {
    const frames = this.frames;
    if (!frames) return;
    const target = Math.max(0, Math.min(frames.geometry.frames - 1, frame));
    // The first frame failed: another one may still open the image.
    if (!this.pane.isOpen) return this.open(frames.geometry.id, target);
    if (target === this.target && !this.overlay.isHiding) return;
    const wish = (this.wish += 1);
    this.target = target;
    this.onChange();
    const slow = setTimeout(() => this.overlay.wait(loadingSlice(target + 1)), PATIENCE_MS);
    try {
      await frames.load(target);
      if (wish !== this.wish) return;
      this.overlay.reveal();
      await this.pane.move(target);
      frames.prefetch(target);
    } catch (error) {
      if (wish === this.wish) this.fail(error, () => void this.retry());
    } finally {
      clearTimeout(slow);
      if (wish === this.wish) this.overlay.wait(null);
    }
  }

  private async retry(): Promise<void> {
    await this.go(this.target);
  }

  setWindow(window: GreyWindow): void {
    if (!this.current || this.isColour) return;
    this.current.window = window;
    this.applyGrey();
  }

  setInvert(invert: boolean): void {
    if (!this.current || this.isColour) return;
    this.current.invert = invert;
    this.applyGrey();
  }

  reset(): void {
    if (!this.current) return;
    this.current.window = this.current.own[0]!;
    this.current.invert = false;
    this.applyGrey();
    this.pane.fit();
  }

  private applyGrey(): void {
    if (this.current) this.pane.setGrey(this.current.window, this.current.invert);
    this.onChange();
  }

  /** Note what the pane has just drawn. */
  rendered(): void {
    const current = this.current;
    if (!current || this.overlay.isHiding) return;
    current.frame = this.pane.frame;
    current.seen.add(current.frame);
  }

  private fail(error: unknown, retry: () => void): void {
    if (error instanceof DOMException && error.name === 'AbortError') return;
    const signedOut = error instanceof ApiError && error.status === 401;
    this.overlay.hide(signedOut ? SIGNED_OUT : FAILED, retry);
    this.onChange();
  }

  /** Take the image away, keeping how it was shown. */
  close(): void {
    this.frames?.close();
    this.frames = null;
    this.pane.clear();
    this.overlay.wait(null);
    this.overlay.clear();
  }

  /** Forget everything: another case follows. */
  forget(): void {
    this.wish += 1;
    this.close();
    this.wantedId = null;
    this.geometries = new Map();
    this.shown = new Map();
  }
}

/** A stack opens in its middle, where the organ is rather than the air above it. */
const middle = (geometry: Geometry): number => Math.floor(geometry.frames / 2);

function firstLook(frames: Frames, frame: number): Shown {
  const { geometry } = frames;
  const { min, max } = frames.extremes(frame);
  const own =
    geometry.samples === 3
      ? [COLOUR_WINDOW]
      : geometry.windows.length
        ? geometry.windows
        : [fullRange(min, max, geometry.slope, geometry.intercept)];
  return { frame, window: own[0]!, own, invert: false, seen: new Set() };
}
