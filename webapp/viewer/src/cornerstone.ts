/**
 * One-time set-up of the rendering library, which keeps its state in the module.
 *
 * Only a stack viewport is used: no volume, no worker, no WebAssembly. Without WebGL the library
 * draws on the CPU by itself.
 */

import {
  cache,
  getShouldUseCPURendering,
  imageLoader,
  init as initCore,
  metaData,
  Settings,
} from '@cornerstonejs/core';
import {
  addTool,
  annotation,
  init as initTools,
  PanTool,
  RectangleROITool,
  ZoomTool,
} from '@cornerstonejs/tools';

import { CACHE_BYTES, describe, fetchImage } from './frames';
import { planeOf } from './geometry';
import { WindowTool } from './windowtool';

const PROJECTIONS = new Set(['CR', 'DX', 'DR', 'MG', 'RF', 'XA', 'RG', 'PX', 'IO']);

/** The CPU renderer counts pixels from their corner, the WebGL one from their centre. */
export const pixelOffset = (): number => (getShouldUseCPURendering() ? 0.5 : 0);

let ready = false;

export function prepare(): void {
  if (ready) return;
  ready = true;
  // One viewport at a time: the default of seven contexts exhausts the browser on a few remounts.
  initCore({ rendering: { webGlContextCount: 1 } } as Parameters<typeof initCore>[0]);
  initTools();
  // Its cursors are images behind blob: addresses, which a strict img-src forbids.
  Settings.getRuntimeSettings().set('useCursors', false);
  // The default of 3 GB is too much for one pane of a web page.
  cache.setMaxCacheSize(CACHE_BYTES);
  imageLoader.registerImageLoader('overread', (imageId) => ({ promise: fetchImage(imageId) }));
  metaData.addProvider(metadataOf, 10_000);
  [WindowTool, PanTool, ZoomTool, RectangleROITool].forEach((tool) => addTool(tool));
  setStyles();
}

/** Forget pixels and marks: both are global, and the next case may be another patient's. */
export function forget(): void {
  annotation.state.removeAllAnnotations();
  cache.purgeCache();
}

/** What the renderer asks about an image; undefined for what it may do without. */
function metadataOf(type: string, imageId: string): unknown {
  const known = typeof imageId === 'string' ? describe(imageId) : null;
  if (!known) return undefined;
  const { geometry, frame } = known;
  switch (type) {
    case 'imagePlaneModule': {
      const plane = planeOf(geometry, frame);
      return {
        // A radiograph often has no frame of reference; marks must still belong to one image.
        frameOfReferenceUID: `overread.${geometry.id}`,
        rows: geometry.rows,
        columns: geometry.columns,
        imageOrientationPatient: [...plane.row, ...plane.column],
        rowCosines: plane.row,
        columnCosines: plane.column,
        imagePositionPatient: plane.origin,
        pixelSpacing: [plane.spacing.row, plane.spacing.column],
        rowPixelSpacing: plane.spacing.row,
        columnPixelSpacing: plane.spacing.column,
        // Set here, or the library takes every film without position for one without spacing
        // and prints millimetres under the name of pixels.
        usingDefaultValues: geometry.spacing === null,
      };
    }
    case 'imagePixelModule': {
      const bits = geometry.dtype === 'uint8' ? 8 : 16;
      return {
        bitsAllocated: bits,
        bitsStored: bits,
        highBit: bits - 1,
        samplesPerPixel: geometry.samples,
        pixelRepresentation: geometry.dtype === 'int16' ? 1 : 0,
        // MONOCHROME1 is handled by our own inversion, the same way on both renderers.
        photometricInterpretation: geometry.samples === 3 ? 'RGB' : 'MONOCHROME2',
      };
    }
    case 'generalSeriesModule':
      return { modality: geometry.modality };
    case 'calibratedPixelSpacing':
      return projection(geometry.modality) && geometry.spacing ? { type: 'Proj' } : undefined;
    default:
      return undefined;
  }
}

const projection = (modality: string): boolean => PROJECTIONS.has(modality);

/** Hovered and selected boxes differ in line, not in colour alone; labels are ours. */
function setStyles(): void {
  const styles = annotation.config.style.getDefaultToolStyles();
  annotation.config.style.setDefaultToolStyles({
    ...styles,
    global: {
      ...styles['global'],
      color: 'rgb(255, 209, 102)',
      colorHighlighted: 'rgb(255, 255, 255)',
      colorSelected: 'rgb(94, 200, 255)',
      lineWidth: '1.5',
      lineWidthHighlighted: '2',
      lineWidthSelected: '3',
      lineDash: '',
      lineDashHighlighted: '6,3',
      lineDashSelected: '',
      shadow: true,
    },
  });
}
