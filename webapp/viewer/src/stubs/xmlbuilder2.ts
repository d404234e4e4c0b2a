/** Stands in for a package that only the reader and writer of VTK XML meshes use. */

export function create(): never {
  throw new Error('XML meshes are not part of this viewer');
}
