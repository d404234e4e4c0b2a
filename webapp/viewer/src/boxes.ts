/**
 * Rectangles on the image on screen, kept in step with the list of regions.
 *
 * The library sends several events for one drawn shape, with values that may be stale. So every
 * event only means "look again": the regions are read from the corner points, under one id each.
 */

import { eventTarget } from '@cornerstonejs/core';
import { annotation as marks, Enums, RectangleROITool, type Types } from '@cornerstonejs/tools';

import { el } from './dom';
import { describe } from './frames';
import type { Geometry, Point2, Point3 } from './geometry';
import type { Pane } from './pane';
import { tidyBox, type Region } from './protocol';
import { sentence as sentenceLabel } from './words';

const TOOL = RectangleROITool.toolName;
const SMALLEST = 4; // CSS pixels: a slip of the hand, not a box
const { Events } = Enums;
const BOUND = { color: 'rgb(120, 235, 160)', lineWidth: '2.5' };

export class Boxes {
  private geometry: Geometry | null = null;
  private readonly drawing = new Set<string>();
  private readonly bound = new Map<string, { label: string; sentence: number | null }>();
  private sentence: number | null = null;
  private silent = false;

  constructor(
    private readonly pane: Pane,
    private readonly labels: HTMLElement,
    private readonly onChange: () => void,
    private readonly onSelect: (region: Region | null) => void,
  ) {
    eventTarget.addEventListener(Events.ANNOTATION_ADDED, this.added);
    eventTarget.addEventListener(Events.ANNOTATION_MODIFIED, this.modified);
    eventTarget.addEventListener(Events.ANNOTATION_COMPLETED, this.completed);
    eventTarget.addEventListener(Events.ANNOTATION_REMOVED, this.removed);
    eventTarget.addEventListener(Events.ANNOTATION_SELECTION_CHANGE, this.selectionChanged);
  }

  /** Show the regions of an image that is open in the pane. */
  show(geometry: Geometry, regions: readonly Region[]): void {
    this.clear();
    this.geometry = geometry;
    this.quietly(() => {
      regions
        .filter((region) => region.image_id === geometry.id)
        .forEach((region) => this.add(region));
    });
    this.applySentence();
  }

  /** Take every box away without telling the page, which keeps the regions. */
  clear(): void {
    this.geometry = null;
    this.quietly(() => {
      marks.state.removeAllAnnotations();
      this.drawing.clear();
      this.bound.clear();
    });
    this.labels.replaceChildren();
  }

  /** The sentence new boxes belong to, whose boxes stand out. */
  setSentence(sentence: number | null): void {
    this.sentence = sentence;
    this.applySentence();
  }

  /** The boxes of the image on screen, finished ones only. */
  list(): Region[] {
    return this.all()
      .filter((mark) => !this.drawing.has(mark.annotationUID!))
      .map((mark) => this.region(mark));
  }

  get isDrawing(): boolean {
    return this.drawing.size > 0;
  }

  get selected(): Region | null {
    const uid = marks.selection.getAnnotationsSelected()[0];
    const mark = uid ? this.all().find((entry) => entry.annotationUID === uid) : undefined;
    return mark ? this.region(mark) : null;
  }

  deleteSelected(): void {
    for (const uid of [...marks.selection.getAnnotationsSelected()])
      marks.state.removeAnnotation(uid);
    this.pane.render();
  }

  /** Cancel a drawing or drop the selection; false when there was neither. */
  cancel(): boolean {
    const unfinished = [...this.drawing];
    this.drawing.clear(); // cancelling completes the shape as far as the library is concerned
    const uid = this.pane.cancel();
    unfinished.forEach((mark) => marks.state.removeAnnotation(mark));
    const had = marks.selection.getAnnotationsSelectedCount() > 0;
    if (had) marks.selection.deselectAnnotation();
    if (had || uid) this.pane.render();
    return had || uid !== undefined;
  }

  /** Put the labels where the boxes are now. */
  layout(): void {
    if (!this.geometry || !this.pane.isOpen) return;
    const here = this.all()
      .filter((mark) => describeMark(mark)?.frame === this.pane.frame)
      .map((mark) => this.region(mark))
      .filter((region) => region.label);
    while (this.labels.childElementCount < here.length) this.labels.append(el('span', 'ovr-label'));
    while (this.labels.childElementCount > here.length) this.labels.lastElementChild!.remove();
    here.forEach((region, index) => {
      const label = this.labels.children[index] as HTMLElement;
      const [x, y] = this.pane.toCanvas([region.coords[0], region.coords[1]]);
      label.textContent = region.label;
      label.classList.toggle('ovr-label-bound', this.isBound(region));
      label.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px) translateY(-100%)`;
    });
  }

  destroy(): void {
    eventTarget.removeEventListener(Events.ANNOTATION_ADDED, this.added);
    eventTarget.removeEventListener(Events.ANNOTATION_MODIFIED, this.modified);
    eventTarget.removeEventListener(Events.ANNOTATION_COMPLETED, this.completed);
    eventTarget.removeEventListener(Events.ANNOTATION_REMOVED, this.removed);
    eventTarget.removeEventListener(Events.ANNOTATION_SELECTION_CHANGE, this.selectionChanged);
  }

  private readonly added = (event: Event): void => {
    const uid = markOf(event)?.annotationUID;
    if (this.silent || !uid) return;
    this.drawing.add(uid);
    const sentence = this.sentence;
    this.bound.set(uid, { sentence, label: sentence === null ? '' : sentenceLabel(sentence) });
    this.applySentence();
  };

  private readonly modified = (event: Event): void => {
    const uid = markOf(event)?.annotationUID;
    this.layout();
    if (!this.silent && uid && !this.drawing.has(uid)) this.onChange();
  };

  private readonly completed = (event: Event): void => {
    const mark = markOf(event);
    if (!mark?.annotationUID || !this.drawing.delete(mark.annotationUID)) return;
    const [from, to] = [mark.data.handles!.points![0]!, mark.data.handles!.points![3]!].map(
      (world) => this.pane.toCanvas(this.pane.toPixel(world)),
    ) as [Point2, Point2];
    const size = Math.min(Math.abs(from[0] - to[0]), Math.abs(from[1] - to[1]));
    if (size < SMALLEST) marks.state.removeAnnotation(mark.annotationUID);
    this.changed();
  };

  private readonly removed = (event: Event): void => {
    const uid = markOf(event)?.annotationUID;
    if (uid) this.drawing.delete(uid);
    if (!this.silent) this.changed();
  };

  private readonly selectionChanged = (): void => {
    if (!this.silent) this.onSelect(this.selected);
  };

  private changed(): void {
    this.layout();
    this.onSelect(this.selected);
    this.onChange();
  }

  private quietly(work: () => void): void {
    this.silent = true;
    try {
      work();
    } finally {
      this.silent = false;
    }
    this.onSelect(this.selected);
    this.pane.render();
  }

  private add(region: Region): void {
    const [c0, r0, c1, r1] = region.coords;
    const corners: Point2[] = [
      [c0, r0],
      [c1, r0],
      [c0, r1],
      [c1, r1],
    ];
    const frame = Math.min(region.frame, this.geometry!.frames - 1);
    this.bound.set(region.id, { label: region.label, sentence: region.sentence });
    marks.state.addAnnotation(
      {
        annotationUID: region.id,
        highlighted: false,
        invalidated: false,
        isLocked: false,
        isVisible: true,
        metadata: { ...this.pane.reference(frame), toolName: TOOL },
        data: {
          label: '',
          cachedStats: {},
          handles: {
            points: corners.map((corner) => this.pane.toWorld(corner, frame)),
            activeHandleIndex: null,
          },
        },
      } as unknown as Types.Annotation,
      this.pane.host,
    );
  }

  private all(): Types.Annotation[] {
    const id = this.geometry?.id;
    return marks.state.getAllAnnotations().filter((mark) => describeMark(mark)?.geometry.id === id);
  }

  private region(mark: Types.Annotation): Region {
    const { geometry, frame } = describeMark(mark)!;
    const points = mark.data.handles!.points as Point3[];
    const [a, b] = [points[0]!, points[3]!].map((world) => this.pane.toPixel(world, frame)) as [
      Point2,
      Point2,
    ];
    const known = this.bound.get(mark.annotationUID!) ?? { label: '', sentence: null };
    return {
      id: mark.annotationUID!,
      type: 'bbox',
      coords: tidyBox([...a, ...b], geometry.columns, geometry.rows),
      space: 'pixel',
      image_id: geometry.id,
      frame,
      ...known,
    };
  }

  private isBound(region: Region): boolean {
    return this.sentence !== null && region.sentence === this.sentence;
  }

  private applySentence(): void {
    for (const mark of this.all()) {
      const stands = this.isBound(this.region(mark));
      marks.config.style.setAnnotationStyles(mark.annotationUID!, stands ? BOUND : {});
    }
    this.layout();
    this.pane.render();
  }
}

const describeMark = (mark: Types.Annotation): ReturnType<typeof describe> =>
  describe(mark.metadata?.referencedImageId ?? '');

function markOf(event: Event): Types.Annotation | undefined {
  return (event as CustomEvent<{ annotation?: Types.Annotation }>).detail?.annotation;
}
