/** Requests to the server, with a bound of time. */

const PATIENCE_MS = 10_000;

/** What the server refused, or that it did not answer (`status` 0). */
export class ApiError extends Error {
  constructor(status, message, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Whether it is the session that is missing: another tab can bring a new one for the whole browser. */
  get ended() {
    return this.status === 401 || this.code === 'session';
  }
}

async function ask(path, options, patience) {
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(), patience);
  try {
    const response = await fetch(path, {
      ...options,
      signal: control.signal,
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'error',
    });
    let body = null;
    try {
      body = await response.json();
    } catch {
      if (response.ok) throw new ApiError(0, "the server's answer was cut short");
    }
    if (!response.ok) {
      const words = [body?.error, body?.remedy].filter(Boolean).join('; ');
      throw new ApiError(response.status, words || `the server answered ${response.status}`, body?.code);
    }
    return body;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(0, 'the server does not answer');
  } finally {
    clearTimeout(timer);
  }
}

/** The JSON at `path`; parameters that are null are left out. */
export function get(path, parameters = {}, patience = PATIENCE_MS) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  const query = new URLSearchParams(given).toString();
  return ask(query ? `${path}?${query}` : path, { method: 'GET' }, patience);
}

/** Send JSON to `path`. */
export function post(path, body, patience = PATIENCE_MS) {
  return ask(
    path,
    {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    },
    patience,
  );
}
