// The reference's entry: asks the server for its own document, so that the page is always about the server that
// serves it. Nothing comes from elsewhere.

import { StrictMode, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import '../styles/base.css';
import '../styles/docs.css';
import { applyTheme } from '../ui/theme';
import { type Document, type Reference as Model, referenceOf } from './document';
import { Reference } from './Reference';

applyTheme();

/** The page, once the document is there. */
function Page() {
  const [reference, setReference] = useState<Model | 'failed' | null>(null);
  useEffect(() => {
    read().then(setReference, () => setReference('failed'));
  }, []);
  const loaded = reference !== null && reference !== 'failed';
  useEffect(() => {
    // What the address points at is not there before the document is.
    if (loaded) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }, [loaded]);
  if (reference === null) return <p className="docs-state muted">Reading the document …</p>;
  if (reference === 'failed')
    return (
      <p className="docs-state">
        The server's <a href="/openapi.json">document</a> cannot be read. Is the server running?
      </p>
    );
  return <Reference reference={reference} origin={location.origin} />;
}

async function read(): Promise<Model> {
  const answer = await fetch('/openapi.json');
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return referenceOf((await answer.json()) as Document);
}

const root = document.getElementById('root');
if (root !== null)
  createRoot(root).render(
    <StrictMode>
      <Page />
    </StrictMode>,
  );
