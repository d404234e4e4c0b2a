/** The viewer: follows the page's state, lets the reader act, and tells the page what happened. */

import { Boxes } from './boxes';
import { forget, prepare } from './cornerstone';
import { el, say } from './dom';
import { markers } from './geometry';
import { Help } from './help';
import { commandFor, originOf, type Command, type Tool } from './keys';
import { Overlay } from './overlay';
import { Pane } from './pane';
import { mergeRegions, shows, type ReadingState, type Region, type View } from './protocol';
import { corners, spoken } from './readouts';
import { Scrollbar } from './scrollbar';
import { Stack } from './stack';
import { Switcher } from './switcher';
import { Toolbar } from './toolbar';
import { WheelSteps } from './wheel';
import { dragged, offered, onKeys, type GreyWindow, type NamedWindow } from './window';
import { WINDOW_DRAG, type WindowDrag } from './windowtool';
import * as words from './words';

const ZOOM_STEP = 1.25;
const PAGE = 10;

export class Viewer {
  readonly root = el('section', 'ovr', { 'aria-label': words.VIEWER });
  private readonly host = el('div', 'ovr-host');
  private readonly stage = el('div', 'ovr-stage', { role: 'application', tabindex: '0' });
  private readonly live = el('div', 'ovr-live', { 'aria-live': 'polite' });
  private readonly overlay = new Overlay();
  private readonly help = new Help(() => this.showHelp(false));
  private readonly switcher = new Switcher((id) => void this.stack?.open(id));
  private readonly scrollbar = new Scrollbar((frame) => void this.stack?.go(frame));
  private readonly toolbar = new Toolbar(
    (command) => this.act(command),
    (preset) => this.choosePreset(preset),
  );
  private readonly watcher = new ResizeObserver(() => this.resized());

  private pane: Pane | null = null;
  private boxes: Boxes | null = null;
  private stack: Stack | null = null;

  private state: ReadingState | null = null;
  private waiting: ReadingState | null = null;
  private regions: Region[] = [];
  /** Those of the image on screen, as they were last read from it. */
  private onScreen: Region[] = [];
  private tool: Tool = 'window';
  private dragStart: GreyWindow | null = null;
  private readonly wheel = new WheelSteps();

  constructor(
    slot: HTMLElement,
    private readonly onView: (view: View | null) => void,
    private readonly onRegions: (regions: Region[]) => void,
  ) {
    prepare();
    this.stage.append(this.host, this.overlay.root, this.overlay.cover, this.help.root);
    this.root.append(
      this.switcher.root,
      this.toolbar.root,
      this.stage,
      this.scrollbar.root,
      this.live,
    );
    this.root.addEventListener('keydown', (event) => this.pressed(event));
    this.stage.addEventListener('pointerdown', () => this.stage.focus({ preventScroll: true }));
    this.stage.addEventListener('wheel', (event) => this.wheeled(event), { passive: false });
    this.host.addEventListener(WINDOW_DRAG, (event) =>
      this.windowDragged((event as CustomEvent<WindowDrag>).detail),
    );
    this.overlay.hide(words.EMPTY, null);
    this.toolbar.setPresets([]);
    this.refreshControls();
    slot.append(this.root);
    // The pane itself, not a box around it: a toolbar that wraps changes only the pane.
    this.watcher.observe(this.host);
  }

  /** Follow the page: another case, other images, another sentence, other regions. */
  apply(state: ReadingState): void {
    if (!this.pane) {
      this.waiting = state; // no size yet: a hidden tab
      return;
    }
    const before = this.state;
    const sameCase = before !== null && shows(before, state);
    this.state = state;
    if (!sameCase) {
      this.boxes!.clear();
      this.onScreen = [];
      this.stack!.forget();
      forget();
      this.regions = state.regions;
      this.onRegions(this.regions);
    } else {
      this.regions = mergeRegions(before.regions, state.regions, this.regions);
      this.onRegions(this.regions);
    }
    this.switcher.show(state.images, this.stack!.geometry?.id ?? null);
    if (before?.readonly !== state.readonly) this.allowBoxes(!state.readonly);
    this.boxes!.setSentence(state.selected_sentence);
    this.openWhatIsDue(sameCase);
    if (sameCase && changed(before.regions, state.regions)) this.showRegions();
    if (sameCase && state.selected_sentence !== before.selected_sentence) this.goToSentence();
    this.refreshControls();
    this.refreshOverlay();
  }

  private allowBoxes(allowed: boolean): void {
    if (this.tool === 'box' && !allowed) this.tool = 'window';
    this.pane!.choose(this.tool, !allowed);
  }

  private openWhatIsDue(sameCase: boolean): void {
    const ids = this.state!.images.map((image) => image.id);
    const open = this.stack!.wanted;
    if (sameCase && open !== null && ids.includes(open)) return;
    if (ids[0] !== undefined) {
      void this.stack!.open(ids[0]);
      return;
    }
    this.stack!.forget();
    this.overlay.hide(words.EMPTY, null);
    this.toolbar.setPresets([]);
    this.scrollbar.show(0, 1);
  }

  private resized(): void {
    if (this.host.clientWidth === 0 || this.host.clientHeight === 0) return;
    if (this.pane) this.pane.resize();
    else this.start();
  }

  private start(): void {
    this.pane = new Pane(this.host, () => this.rendered());
    this.boxes = new Boxes(
      this.pane,
      this.overlay.labels,
      () => this.boxesChanged(),
      (box) => this.boxSelected(box),
    );
    this.stack = new Stack(
      this.pane,
      this.overlay,
      () => this.opened(),
      (loaded, total) => this.scrollbar.progress(loaded, total),
      () => this.changed(),
    );
    const state = this.waiting;
    this.waiting = null;
    if (state) this.apply(state);
  }

  private opened(): void {
    const { geometry, current } = this.stack!;
    if (!geometry || !current) return;
    this.switcher.show(this.state!.images, geometry.id);
    this.toolbar.setPresets(this.stack!.isColour ? [] : offered(geometry, current.own));
    this.scrollbar.show(this.stack!.target, geometry.frames);
    this.showRegions();
    say(this.live, words.imageOpened(this.label(), geometry.frames));
    this.changed();
  }

  private label(): string {
    const id = this.stack?.geometry?.id;
    return this.state?.images.find((image) => image.id === id)?.label ?? '';
  }

  private showRegions(): void {
    const geometry = this.stack?.geometry;
    if (!geometry || !this.pane?.isOpen || this.boxes!.isDrawing) return;
    this.boxes!.show(geometry, this.regions);
    this.onScreen = this.boxes!.list();
  }

  private goToSentence(): void {
    const { selected_sentence: sentence } = this.state!;
    const region = this.regions.find((entry) => sentence !== null && entry.sentence === sentence);
    if (!region) return;
    if (region.image_id === this.stack!.geometry?.id) void this.stack!.go(region.frame);
    else if (this.state!.images.some((image) => image.id === region.image_id)) {
      void this.stack!.open(region.image_id, region.frame);
    }
  }

  private rendered(): void {
    this.stack!.rendered();
    this.boxes!.layout();
    this.refreshOverlay();
    this.onView(this.stack!.view());
  }

  private changed(): void {
    const { geometry, current, target } = this.stack!;
    if (geometry) this.scrollbar.show(target, geometry.frames);
    if (current) {
      this.toolbar.showWindow(current.window);
      this.toolbar.press('invert', current.invert);
      this.refreshOverlay();
    }
    this.refreshControls();
    this.onView(this.stack!.view());
  }

  private refreshOverlay(): void {
    const { geometry, current } = this.stack!;
    if (!geometry || !current || !this.pane?.isOpen) return;
    const on = {
      label: this.label(),
      geometry,
      frame: current.frame,
      window: this.stack!.isColour ? null : current.window,
      scale: this.pane.scale,
      readonly: this.state?.readonly ?? false,
      sentence: this.tool === 'box' ? (this.state?.selected_sentence ?? null) : null,
    };
    this.overlay.show(corners(on), markers(geometry));
    const name = spoken(on);
    if (this.stage.getAttribute('aria-label') !== name) this.stage.setAttribute('aria-label', name);
  }

  private refreshControls(): void {
    const open = this.stack?.geometry != null && this.pane!.isOpen;
    const colour = this.stack?.isColour ?? false;
    const readonly = this.state?.readonly ?? false;
    this.toolbar.showTool(this.tool);
    for (const command of ['pan', 'zoom', 'zoomIn', 'zoomOut', 'fit', 'reset'] as const) {
      this.toolbar.enable(command, open);
    }
    this.toolbar.enable('window', open && !colour);
    this.toolbar.enable('invert', open && !colour);
    this.toolbar.enable('box', open && !readonly);
    this.toolbar.enable('delete', !readonly && this.boxes?.selected != null);
  }

  private boxesChanged(): void {
    const now = this.boxes!.list();
    this.regions = mergeRegions(this.onScreen, now, this.regions);
    this.onScreen = now;
    this.onRegions(this.regions);
    // What the page changed while a box was being drawn is not on screen yet.
    const here = this.regions.filter((region) => region.image_id === this.stack!.geometry?.id);
    if (here.length !== now.length) this.showRegions();
  }

  private boxSelected(box: Region | null): void {
    if (box && !this.state?.readonly) say(this.live, words.boxSelected(box.label));
    this.refreshControls();
  }

  private pressed(event: KeyboardEvent): void {
    const command = commandFor(event, originOf(event.target));
    if (!command || (command === 'escape' && !this.escape())) return;
    event.preventDefault();
    event.stopPropagation();
    if (command !== 'escape') this.act(command);
  }

  /** Close or cancel the nearest thing; false lets the page have the key. */
  private escape(): boolean {
    if (this.help.isOpen) {
      this.showHelp(false);
      return true;
    }
    return this.boxes?.cancel() ?? false;
  }

  private act(command: Command): void {
    const stack = this.stack;
    if (command === 'help') this.showHelp(!this.help.isOpen);
    if (!stack?.geometry) return;
    const move = moveOf(command, stack.target, stack.geometry.frames);
    if (move !== null) void stack.go(move);
    else if (this.pane?.isOpen) this.actOnImage(command, stack, this.pane);
  }

  private actOnImage(command: Command, stack: Stack, pane: Pane): void {
    switch (command) {
      case 'previousImage':
        return this.stepImage(-1);
      case 'nextImage':
        return this.stepImage(1);
      case 'zoomIn':
        return pane.zoomBy(ZOOM_STEP);
      case 'zoomOut':
        return pane.zoomBy(1 / ZOOM_STEP);
      case 'fit':
        return pane.fit();
      case 'invert':
        return stack.setInvert(!stack.current!.invert);
      case 'reset':
        return stack.reset();
      case 'delete':
        return this.state?.readonly ? undefined : this.boxes!.deleteSelected();
      case 'window':
      case 'pan':
      case 'zoom':
      case 'box':
        return this.chooseTool(command);
      case 'preset1':
      case 'preset2':
      case 'preset3':
      case 'preset4':
      case 'preset5':
        return this.keyPreset(Number(command.at(-1)) - 1);
    }
  }

  private chooseTool(tool: Tool): void {
    const readonly = this.state?.readonly ?? false;
    if ((tool === 'box' && readonly) || (tool === 'window' && this.stack!.isColour)) return;
    this.boxes!.cancel();
    this.tool = tool;
    this.pane!.choose(tool, readonly);
    this.refreshControls();
    this.refreshOverlay();
  }

  private keyPreset(index: number): void {
    const { geometry, current } = this.stack!;
    const preset = onKeys(geometry!, current!.own)[index];
    if (preset) this.stack!.setWindow(preset);
  }

  private choosePreset(preset: NamedWindow): void {
    this.stack?.setWindow(preset);
    this.stage.focus({ preventScroll: true });
  }

  private stepImage(step: number): void {
    const images = this.state!.images;
    const at = images.findIndex((image) => image.id === this.stack!.geometry!.id);
    const next = images[at + step];
    if (next) void this.stack!.open(next.id);
  }

  private windowDragged({ phase, dx, dy }: WindowDrag): void {
    const current = this.stack?.current;
    if (!current || this.stack!.isColour) return;
    if (phase === 'start') this.dragStart = current.window;
    else if (this.dragStart)
      this.stack!.setWindow(dragged(this.dragStart, dx, dy, current.own[0]!.width));
  }

  /** The page does not scroll meanwhile. */
  private wheeled(event: WheelEvent): void {
    if (event.ctrlKey || this.help.isOpen) return; // the browser's zoom; the list's own scrolling
    event.preventDefault();
    if (event.buttons !== 0 || !this.stack?.geometry) return;
    const steps = this.wheel.take(event.deltaY, event.deltaMode);
    if (steps !== 0) void this.stack.go(this.stack.target + steps);
  }

  private showHelp(open: boolean): void {
    this.help.show(open);
    if (!open) this.stage.focus({ preventScroll: true });
  }

  destroy(): void {
    this.watcher.disconnect();
    this.boxes?.clear();
    this.boxes?.destroy();
    this.stack?.forget();
    forget();
    this.pane?.destroy();
    this.root.remove();
  }

  /** Whether the page still holds the viewer. */
  get isConnected(): boolean {
    return this.root.isConnected;
  }
}

/** The frame that a scrolling command leads to; null for every other command. */
function moveOf(command: Command, from: number, frames: number): number | null {
  const steps = {
    previous: -1,
    next: 1,
    pageUp: -PAGE,
    pageDown: PAGE,
    first: -frames,
    last: frames,
  };
  return command in steps ? from + steps[command as keyof typeof steps] : null;
}

const changed = (a: unknown, b: unknown): boolean => JSON.stringify(a) !== JSON.stringify(b);
