/** One stack on screen: slices, window, zoom and position, in CSS pixels and image pixels. */

import { Enums, getShouldUseCPURendering, RenderingEngine, type Types } from '@cornerstonejs/core';
import {
  cancelActiveManipulations,
  Enums as ToolEnums,
  PanTool,
  RectangleROITool,
  ToolGroupManager,
  ZoomTool,
} from '@cornerstonejs/tools';

import { pixelOffset } from './cornerstone';
import type { Frames } from './frames';
import {
  pixelToWorld,
  planeOf,
  worldToPixel,
  type Plane,
  type Point2,
  type Point3,
} from './geometry';
import type { Tool } from './keys';
import { burn } from './watermark';
import { storedRange, type GreyWindow } from './window';
import { WindowTool } from './windowtool';

const ENGINE = 'overread-engine';
const VIEWPORT = 'overread-pane';
const GROUP = 'overread-tools';
const ZOOM_RANGE = { min: 0.2, max: 60 }; // times the size that fits the pane

const TOOLS: Record<Tool, string> = {
  window: WindowTool.toolName,
  pan: PanTool.toolName,
  zoom: ZoomTool.toolName,
  box: RectangleROITool.toolName,
};

export class Pane {
  private readonly engine = new RenderingEngine(ENGINE);
  private readonly viewport: Types.IStackViewport;
  private readonly group = ToolGroupManager.createToolGroup(GROUP)!;
  private frames: Frames | null = null;
  /** Zoom at which the whole image is just visible, and the camera that showed it so. */
  private fitZoom = 1;
  private fitCamera = '';

  /** `host` must have a size already: a viewport made on a hidden element never draws. */
  constructor(
    readonly host: HTMLDivElement,
    private readonly onRendered: () => void,
  ) {
    this.engine.enableElement({
      viewportId: VIEWPORT,
      element: host,
      type: Enums.ViewportType.STACK,
      defaultOptions: { background: [0, 0, 0] },
    });
    this.viewport = this.engine.getViewport(VIEWPORT) as Types.IStackViewport;
    // The library makes its element focusable and swallows every key there: a keyboard trap.
    host.removeAttribute('tabindex');
    if (getShouldUseCPURendering()) this.sizeCpuCanvas();
    this.addTools();
    host.addEventListener(Enums.Events.IMAGE_RENDERED, this.rendered);
    host.addEventListener('contextmenu', preventDefault);
    host.addEventListener('mousedown', preventAutoscroll);
  }

  private addTools(): void {
    Object.values(TOOLS).forEach((name) =>
      // No statistics, and labels of our own: the library styles its text by an attribute, which
      // style-src 'self' forbids.
      this.group.addTool(name, { calculateStats: false, getTextLines: () => [] }),
    );
    this.group.addViewport(VIEWPORT, ENGINE);
    this.choose('window', false);
  }

  private readonly rendered = (): void => {
    if (!this.frames) return;
    burn(this.viewport.getCanvas());
    this.onRendered();
  };

  /** The frame on screen, from 0. */
  get frame(): number {
    return this.viewport.getCurrentImageIdIndex();
  }

  get isOpen(): boolean {
    return this.frames !== null;
  }

  /** Show a stack at a frame that is loaded already. */
  async open(frames: Frames, frame: number): Promise<void> {
    this.frames = frames;
    await this.viewport.setStack(frames.imageIds, frame);
    this.fit();
  }

  /** Move to a frame that is loaded already. */
  async move(frame: number): Promise<void> {
    await this.viewport.setImageIdIndex(frame);
  }

  /** Take the image away; the pane is black until the next one is opened. */
  clear(): void {
    this.frames = null;
    const canvas = this.viewport.getCanvas();
    canvas.getContext('2d')?.clearRect(0, 0, canvas.width, canvas.height);
  }

  setGrey(window: GreyWindow, invert: boolean): void {
    if (!this.frames) return;
    const { slope, intercept, inverted } = this.frames.geometry;
    const { lower, upper, flipped } = storedRange(window, slope, intercept);
    const flips = [invert, inverted, flipped].filter(Boolean).length;
    this.viewport.setProperties({ voiRange: { lower, upper }, invert: flips % 2 === 1 });
    this.viewport.render();
  }

  /** CSS pixels per image pixel, along a row. */
  get scale(): number {
    if (!this.frames) return 1;
    const columns = this.frames.geometry.columns;
    const [x0, y0] = this.toCanvas([0, 0]);
    const [x1, y1] = this.toCanvas([columns, 0]);
    return Math.hypot(x1 - x0, y1 - y0) / columns;
  }

  zoomBy(factor: number): void {
    const zoom = this.viewport.getZoom() * factor;
    const { min, max } = ZOOM_RANGE;
    this.viewport.setZoom(Math.min(max * this.fitZoom, Math.max(min * this.fitZoom, zoom)));
    this.viewport.render();
  }

  fit(): void {
    this.viewport.resetCamera();
    this.rememberFit();
    this.viewport.render();
  }

  /** Follow the pane's size; an image that filled it goes on filling it. */
  resize(): void {
    const { clientWidth, clientHeight } = this.host;
    if (clientWidth === 0 || clientHeight === 0) return;
    const fitted = this.isFitted();
    const magnification = this.frames ? this.viewport.getZoom() / this.fitZoom : 1;
    if (getShouldUseCPURendering()) this.sizeCpuCanvas();
    else this.engine.resize(true, true);
    if (!this.frames) return;
    if (fitted) {
      this.fit();
      return;
    }
    const camera = this.viewport.getCamera();
    this.viewport.resetCamera();
    this.rememberFit();
    this.viewport.setCamera({ focalPoint: camera.focalPoint!, position: camera.position! });
    this.viewport.setZoom(this.fitZoom * magnification);
    this.viewport.render();
  }

  /** The library sizes the CPU canvas in CSS pixels but converts points by the device's ratio. */
  private sizeCpuCanvas(): void {
    const canvas = this.viewport.getCanvas();
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(this.host.clientWidth * ratio);
    canvas.height = Math.round(this.host.clientHeight * ratio);
  }

  private rememberFit(): void {
    this.fitZoom = this.viewport.getZoom();
    this.fitCamera = this.cameraKey();
  }

  private isFitted(): boolean {
    return this.frames !== null && this.cameraKey() === this.fitCamera;
  }

  private cameraKey(): string {
    const { parallelScale, focalPoint } = this.viewport.getCamera();
    return [parallelScale, ...(focalPoint ?? [])].map((v) => Number(v).toPrecision(5)).join(' ');
  }

  private plane(frame: number): Plane {
    return planeOf(this.frames!.geometry, frame);
  }

  /** Image pixel [column, row] to patient space as the renderer in use counts it. */
  toWorld(pixel: Point2, frame = this.frame): Point3 {
    const offset = pixelOffset();
    return pixelToWorld(this.plane(frame), [pixel[0] + offset, pixel[1] + offset]);
  }

  toPixel(world: ArrayLike<number>, frame = this.frame): Point2 {
    const offset = pixelOffset();
    const [column, row] = worldToPixel(this.plane(frame), world);
    return [column - offset, row - offset];
  }

  /** Image pixel [column, row] to CSS pixels from the pane's upper left corner. */
  toCanvas(pixel: Point2): Point2 {
    return this.viewport.worldToCanvas(this.toWorld(pixel)) as Point2;
  }

  /** What a mark made now refers to, for building one in code. */
  reference(frame: number): Types.ViewReference {
    return this.viewport.getViewReference({ sliceIndex: frame });
  }

  /** Give the left button to a tool; right zooms and middle pans whatever is chosen. */
  choose(tool: Tool, readonly: boolean): void {
    const { Primary, Secondary, Auxiliary } = ToolEnums.MouseBindings;
    const fixed: Partial<Record<Tool, number>> = { zoom: Secondary, pan: Auxiliary };
    for (const [name, toolName] of Object.entries(TOOLS) as [Tool, string][]) {
      this.group.setToolPassive(toolName, { removeAllBindings: true });
      const buttons = [name === tool ? Primary : null, fixed[name] ?? null];
      const bindings = buttons.flatMap((mouseButton) => (mouseButton ? [{ mouseButton }] : []));
      if (bindings.length) this.group.setToolActive(toolName, { bindings });
    }
    if (readonly) this.group.setToolEnabled(TOOLS.box);
    this.host.dataset['tool'] = tool;
  }

  /** Stop a drawing in progress; returns its id. */
  cancel(): string | undefined {
    return cancelActiveManipulations(this.host) as string | undefined;
  }

  render(): void {
    this.viewport.render();
  }

  destroy(): void {
    this.host.removeEventListener(Enums.Events.IMAGE_RENDERED, this.rendered);
    this.host.removeEventListener('contextmenu', preventDefault);
    this.host.removeEventListener('mousedown', preventAutoscroll);
    this.frames = null;
    ToolGroupManager.destroyToolGroup(GROUP);
    this.engine.destroy();
  }
}

function preventDefault(event: Event): void {
  event.preventDefault();
}

/** The middle button pans; a browser would scroll the page with it. */
function preventAutoscroll(event: MouseEvent): void {
  if (event.button === 1) event.preventDefault();
}
