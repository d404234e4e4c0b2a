/** Which frame to fetch next. */

/**
 * The nearest frame that is not there yet, the later of two equally near; null if none is wanted.
 *
 * Only the `room` frames around `centre` are wanted: fetching more would push near ones out of
 * the cache again.
 */
export function nextWanted(
  total: number,
  centre: number,
  room: number,
  has: (frame: number) => boolean,
): number | null {
  const reach = room >= total ? total - 1 : Math.max(0, Math.floor((room - 1) / 2));
  for (let distance = 0; distance <= reach; distance += 1) {
    for (const frame of [centre + distance, centre - distance]) {
      if (frame >= 0 && frame < total && !has(frame)) return frame;
    }
  }
  return null;
}
