// Which stream an address names: `/room.html?streamId=…` or `/embed/…`. Pure.

/** The stream of an address, `null` when it names none. */
export function addressOf(path: string, search: string): string | null {
  const embedded = /^\/embed\/(.+?)\/?$/.exec(path)?.[1];
  if (embedded !== undefined) return decode(embedded);
  const streamId = new URLSearchParams(search).get('streamId');
  return streamId === null || streamId === '' ? null : streamId;
}

/** The link to send to somebody. */
export function watchLink(origin: string, streamId: string): string {
  return `${origin}/room.html?streamId=${encodeURIComponent(streamId)}`;
}

/** The frame to put into another page. */
export function embedCode(origin: string, streamId: string): string {
  const source = `${origin}/embed/${encodeURIComponent(streamId)}`
    .replaceAll('&', '&amp;')
    .replaceAll('"', '&quot;');
  return `<iframe src="${source}" width="640" height="360" allow="autoplay; fullscreen; picture-in-picture" title="Live stream"></iframe>`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
