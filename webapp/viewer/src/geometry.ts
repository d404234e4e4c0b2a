/**
 * What the server says about one image, and the way between its pixels and patient space.
 *
 * Pixel coordinates are [column, row] with 0 at the centre of the first pixel. The library's own
 * worldToImageCoords swaps the spacings and counts from 0.5, so DICOM's formula (PS3.3
 * C.7.6.2.1.1) is written out here.
 */

import type { NamedWindow } from './window';

export type Point2 = [number, number];
export type Point3 = [number, number, number];
export type Dtype = 'int16' | 'uint16' | 'uint8';

export interface Geometry {
  id: string;
  modality: string;
  rows: number;
  columns: number;
  frames: number;
  dtype: Dtype;
  samples: 1 | 3;
  /** Stored value * slope + intercept = units. */
  slope: number;
  intercept: number;
  units: string;
  /** MONOCHROME1: low values are shown bright. */
  inverted: boolean;
  /** Between row centres and between column centres, mm; null where the image has none. */
  spacing: { row: number; column: number } | null;
  /** Unit vectors along a row and down a column; null where the orientation is unknown. */
  axes: { row: Point3; column: Point3 } | null;
  /** Centre of each frame's first pixel in patient space, mm. */
  positions: (Point3 | null)[];
  windows: NamedWindow[];
  viewPosition: string;
  lossy: boolean;
}

/** Where one frame lies; with made-up unit values where the image does not say. */
export interface Plane {
  origin: Point3;
  row: Point3;
  column: Point3;
  spacing: { row: number; column: number };
}

/** The server's answer is not a geometry this viewer can show. */
export class GeometryError extends Error {
  override name = 'GeometryError';
}

/** Read the body of `GET /images/{id}`. Throws GeometryError where pixels could be misread. */
export function parseGeometry(body: unknown): Geometry {
  const source = isRecord(body) ? body : {};
  const samples = source['samples'] ?? 1;
  if (samples !== 1 && samples !== 3) throw new GeometryError('samples');
  const dtype = source['dtype'];
  if (dtype !== 'int16' && dtype !== 'uint16' && dtype !== 'uint8')
    throw new GeometryError('dtype');
  if (samples === 3 && dtype !== 'uint8') throw new GeometryError('dtype of colour');
  const slope = number(source['slope'], 1);
  const frames = count(source['frames'], 'frames');
  return {
    id: text(source['id']),
    modality: text(source['modality']),
    rows: count(source['rows'], 'rows'),
    columns: count(source['columns'], 'columns'),
    frames,
    dtype,
    samples,
    slope: slope === 0 ? 1 : slope,
    intercept: number(source['intercept'], 0),
    units: text(source['units']),
    inverted: source['inverted'] === true,
    spacing: spacing(source['row_spacing_mm'], source['column_spacing_mm']),
    axes: axes(source['orientation']),
    positions: positions(source['positions'], frames),
    windows: windows(source['windows']),
    viewPosition: text(source['view_position']),
    lossy: source['lossy'] === true,
  };
}

/** Bytes of one frame as the server sends it. */
export function frameBytes(geometry: Geometry): number {
  const size = geometry.dtype === 'uint8' ? 1 : 2;
  return geometry.rows * geometry.columns * geometry.samples * size;
}

export function planeOf(geometry: Geometry, frame: number): Plane {
  return {
    origin: geometry.positions[frame] ?? [0, 0, frame],
    row: geometry.axes?.row ?? [1, 0, 0],
    column: geometry.axes?.column ?? [0, 1, 0],
    spacing: geometry.spacing ?? { row: 1, column: 1 },
  };
}

export function pixelToWorld(plane: Plane, [column, row]: Point2): Point3 {
  const across = column * plane.spacing.column;
  const down = row * plane.spacing.row;
  return [0, 1, 2].map(
    (axis) => plane.origin[axis]! + plane.row[axis]! * across + plane.column[axis]! * down,
  ) as Point3;
}

export function worldToPixel(plane: Plane, world: ArrayLike<number>): Point2 {
  const offset = [0, 1, 2].map((axis) => world[axis]! - plane.origin[axis]!) as Point3;
  return [
    dot(offset, plane.row) / plane.spacing.column,
    dot(offset, plane.column) / plane.spacing.row,
  ];
}

/** Letters for the four edges (DICOM patient axes: +x left, +y posterior, +z head). */
export function markers(
  geometry: Geometry,
): { left: string; right: string; top: string; bottom: string } | null {
  if (!geometry.axes) return null;
  const { row, column } = geometry.axes;
  return {
    right: letters(row),
    left: letters(negative(row)),
    bottom: letters(column),
    top: letters(negative(column)),
  };
}

/** The plane's everyday name, empty where the orientation is unknown. */
export function planeName(geometry: Geometry): string {
  if (!geometry.axes) return '';
  const [x, y, z] = cross(geometry.axes.row, geometry.axes.column).map(Math.abs) as Point3;
  if (z > 0.9) return 'axial';
  if (y > 0.9) return 'coronal';
  return x > 0.9 ? 'sagittal' : 'oblique';
}

function letters(direction: Point3): string {
  const names = [
    ['L', 'R'],
    ['P', 'A'],
    ['H', 'F'],
  ] as const;
  return direction
    .map((value, axis) => ({ size: Math.abs(value), letter: names[axis]![value > 0 ? 0 : 1]! }))
    .filter(({ size }) => size > 0.3)
    .sort((a, b) => b.size - a.size)
    .map(({ letter }) => letter)
    .join('');
}

function axes(value: unknown): Geometry['axes'] {
  if (!Array.isArray(value) || value.length !== 6 || !value.every(Number.isFinite)) return null;
  const row = unit(value.slice(0, 3) as Point3);
  const raw = unit(value.slice(3, 6) as Point3);
  if (!row || !raw || Math.abs(dot(row, raw)) > 0.01) return null;
  // Headers are rounded; an axis slightly askew would not survive the way there and back.
  const skew = dot(row, raw);
  const column = unit(raw.map((v, axis) => v - skew * row[axis]!) as Point3);
  return column && { row, column };
}

function spacing(row: unknown, column: unknown): Geometry['spacing'] {
  const known = (v: unknown): v is number => typeof v === 'number' && v > 0 && Number.isFinite(v);
  return known(row) && known(column) ? { row, column } : null;
}

function positions(value: unknown, frames: number): (Point3 | null)[] {
  const list = Array.isArray(value) ? value : [];
  return Array.from({ length: frames }, (_, frame) => {
    const at: unknown = list[frame];
    const known = Array.isArray(at) && at.length === 3 && at.every(Number.isFinite);
    return known ? (at as Point3) : null;
  });
}

function windows(value: unknown): NamedWindow[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isRecord).flatMap((entry, index) => {
    const { center, width } = entry;
    if (typeof center !== 'number' || typeof width !== 'number' || !(width >= 1)) return [];
    return [{ name: text(entry['name']) || `Window ${index + 1}`, center, width }];
  });
}

function unit(vector: Point3): Point3 | null {
  const length = Math.hypot(...vector);
  return length > 0.5 && length < 2 ? (vector.map((v) => v / length) as Point3) : null;
}

const dot = (a: Point3, b: Point3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const negative = (a: Point3): Point3 => [-a[0], -a[1], -a[2]];
const cross = (a: Point3, b: Point3): Point3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

function number(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
}

function count(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1)
    throw new GeometryError(what);
  return value;
}
