// Text of the document: words between backticks are code, an empty line begins a paragraph.

import { Fragment } from 'react';

/** A text of the document. */
export function Prose({ text }: { text: string }) {
  const parts = text.split('`');
  return parts.map((part, at) =>
    at % 2 === 1 ? (
      // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a text that never changes.
      <code key={at}>{part}</code>
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: see above.
      <Fragment key={at}>{part}</Fragment>
    ),
  );
}
