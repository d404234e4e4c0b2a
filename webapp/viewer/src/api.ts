/** The two read routes of the server that the viewer uses. */

/** Where this module came from tells where the app is mounted: …/overread/viewer/viewer.js. */
const here = import.meta.url; // a variable: the bundler would take a literal for an asset
const BASE = new URL('../../api/v1/', here).href;

/** The server refused or answered with something else than asked for. */
export class ApiError extends Error {
  override name = 'ApiError';

  constructor(readonly status: number) {
    super(`status ${status}`);
  }
}

export async function getJson(path: string): Promise<unknown> {
  return (await request(path)).json();
}

export async function getBytes(path: string, signal?: AbortSignal): Promise<ArrayBuffer> {
  return (await request(path, signal)).arrayBuffer();
}

async function request(path: string, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(BASE + path, { credentials: 'same-origin', signal: signal ?? null });
  if (!response.ok) throw new ApiError(response.status);
  return response;
}
