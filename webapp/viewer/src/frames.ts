/**
 * Frames of one image: fetched raw, kept in the library's cache, the near ones ahead of need.
 *
 * A frame is loaded here before the viewport is moved to it. Otherwise a frame that fails would
 * leave the previous slice on screen under the new slice's number.
 */

import { cache, getShouldUseCPURendering, utilities, type Types } from '@cornerstonejs/core';

import { ApiError, getBytes } from './api';
import { frameBytes, type Geometry } from './geometry';
import { decode } from './pixels';
import { nextWanted } from './queue';

export const CACHE_BYTES = 512 * 2 ** 20;
const PARALLEL = 4;

const geometries = new Map<string, Geometry>();

export function imageIdOf(geometry: Geometry, frame: number): string {
  return `overread:${geometry.id}/${frame}`;
}

/** The geometry and frame behind a cornerstone image id, for the metadata provider. */
export function describe(imageId: string): { geometry: Geometry; frame: number } | null {
  const found = /^overread:(.+)\/(\d+)$/.exec(imageId);
  const geometry = found && geometries.get(found[1]!);
  return geometry ? { geometry, frame: Number(found[2]) } : null;
}

/** Fetch one frame and make it an image the renderer understands. */
export async function fetchImage(imageId: string, signal?: AbortSignal): Promise<Types.IImage> {
  const known = describe(imageId);
  if (!known) throw new ApiError(404);
  const { geometry, frame } = known;
  const bytes = await getBytes(`images/${encodeURIComponent(geometry.id)}/frames/${frame}`, signal);
  if (bytes.byteLength !== frameBytes(geometry)) throw new ApiError(502);
  return toImage(imageId, geometry, bytes);
}

function toImage(imageId: string, geometry: Geometry, bytes: ArrayBuffer): Types.IImage {
  const rgba = geometry.samples === 3 && getShouldUseCPURendering();
  const { pixels, min, max } = decode(bytes, geometry.dtype, rgba);
  const { rows, columns } = geometry;
  const components = rgba ? 4 : geometry.samples;
  const voxelManager = utilities.VoxelManager.createImageVoxelManager({
    width: columns,
    height: rows,
    scalarData: pixels,
    numberOfComponents: components,
  });
  return {
    imageId,
    rows,
    columns,
    height: rows,
    width: columns,
    color: components > 1,
    rgba,
    numberOfComponents: components,
    minPixelValue: min,
    maxPixelValue: max,
    // Windows are given in stored values, so the renderer must not rescale again.
    slope: 1,
    intercept: 0,
    windowCenter: (min + max + 1) / 2,
    windowWidth: max - min + 1,
    voiLUTFunction: 'LINEAR' as Types.IImage['voiLUTFunction'],
    invert: false,
    rowPixelSpacing: geometry.spacing?.row ?? 1,
    columnPixelSpacing: geometry.spacing?.column ?? 1,
    photometricInterpretation: components > 1 ? 'RGB' : 'MONOCHROME2',
    sizeInBytes: pixels.byteLength,
    dataType: pixels.constructor.name as Types.IImage['dataType'],
    getPixelData: () => pixels,
    getCanvas: () => undefined as unknown as HTMLCanvasElement,
    voxelManager: voxelManager as Types.IImage['voxelManager'],
  };
}

/** Loads the frames of one image; `close` ends every fetch under way. */
export class Frames {
  readonly imageIds: string[];
  private readonly pending = new Map<number, Promise<void>>();
  private readonly failed = new Set<number>();
  private readonly stop = new AbortController();
  private running = 0;
  private centre = 0;

  constructor(
    readonly geometry: Geometry,
    private readonly onProgress: (loaded: number) => void,
  ) {
    geometries.set(geometry.id, geometry);
    this.imageIds = geometry.positions.map((_, frame) => imageIdOf(geometry, frame));
  }

  has(frame: number): boolean {
    return cache.isLoaded(this.imageIds[frame]!);
  }

  get loaded(): number {
    return this.imageIds.filter((id) => cache.isLoaded(id)).length;
  }

  /** The stored extremes of a loaded frame. */
  extremes(frame: number): { min: number; max: number } {
    const image = cache.getImage(this.imageIds[frame]!);
    return { min: image?.minPixelValue ?? 0, max: image?.maxPixelValue ?? 0 };
  }

  /** Resolve once the frame is in the cache; rejects with ApiError or a network error. */
  load(frame: number): Promise<void> {
    if (this.has(frame)) return Promise.resolve();
    const under = this.pending.get(frame);
    if (under) return under;
    const loading = this.fetchInto(frame).finally(() => this.pending.delete(frame));
    this.pending.set(frame, loading);
    return loading;
  }

  private async fetchInto(frame: number): Promise<void> {
    const imageId = this.imageIds[frame]!;
    const image = await fetchImage(imageId, this.stop.signal);
    this.stop.signal.throwIfAborted();
    this.failed.delete(frame);
    if (!this.has(frame)) cache.putImageSync(imageId, image);
    this.onProgress(this.loaded);
  }

  /** Fetch the others, nearest first, as many as the cache holds beside what is on screen. */
  prefetch(centre: number): void {
    this.centre = centre;
    while (this.running < PARALLEL) {
      const frame = this.wanted();
      if (frame === null || this.stop.signal.aborted) return;
      this.running += 1;
      // A frame that fails here is tried again when the reader gets to it.
      void this.load(frame)
        .catch(() => this.failed.add(frame))
        .finally(() => {
          this.running -= 1;
          this.prefetch(this.centre);
        });
    }
  }

  private wanted(): number | null {
    const room = Math.floor((CACHE_BYTES * 0.8) / frameBytes(this.geometry));
    return nextWanted(
      this.imageIds.length,
      this.centre,
      room,
      (frame) => this.has(frame) || this.pending.has(frame) || this.failed.has(frame),
    );
  }

  close(): void {
    this.stop.abort();
  }
}
