// The API's reference, made of the API's own document.

import { readFileSync } from 'node:fs';
import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import { commandOf, type Document, referenceOf, typeOf } from '../src/docs/document';
import { Reference } from '../src/docs/Reference';

const document_ = JSON.parse(readFileSync('../crates/server/openapi.json', 'utf8')) as Document;
const reference = referenceOf(document_);
const operations = reference.sections.flatMap((section) => section.operations);
const create = operations.find(({ id }) => id === 'create_stream');

describe('the reference', () => {
  it('shows every operation and webhook, every schema and every problem', () => {
    const { container } = render(<Reference reference={reference} origin="http://host" />);
    const count = (items: Record<string, Record<string, unknown>>) =>
      Object.values(items).reduce((sum, item) => sum + Object.keys(item).length, 0);
    expect(operations.length).toBe(count(document_.paths) + Object.keys(document_.webhooks ?? {}).length);
    for (const { id } of operations) expect(container.querySelector(`#${id} h3`), id).not.toBeNull();
    for (const name of Object.keys(document_.components.schemas))
      expect(container.querySelector(`#schema-${name}`), name).not.toBeNull();
    expect(reference.problems.map(({ code }) => code)).toContain('duplicate_identity');
    const dead = [...container.querySelectorAll('a[href^="#"]')].filter(
      (link) => container.querySelector(`[id="${link.getAttribute('href')?.slice(1)}"]`) === null,
    );
    expect(dead.map((link) => link.getAttribute('href'))).toEqual([]);
  });

  it('finds by path and by words', async () => {
    render(<Reference reference={reference} origin="http://host" />);
    await userEvent.type(screen.getByRole('searchbox'), 'mute');
    const list = await screen.findByRole('navigation', { name: 'Contents' });
    expect(
      within(list)
        .getAllByRole('link')
        .map((link) => link.getAttribute('href')),
    ).toEqual(['#mute_participant', '#problems', '#schemas']);
  });

  it('gives commands that can be copied', () => {
    if (create === undefined) throw new Error('create_stream is missing');
    const command = commandOf(create, 'http://host');
    expect(command).toContain('curl -X POST http://host/streams');
    expect(command).toContain('Bearer $LIVESTREAM_KEY');
    expect(command).toContain('"name":"gold"');
  });

  it('says types in words', () => {
    expect(typeOf({ type: 'array', items: { $ref: '#/components/schemas/Role' } })).toEqual([
      'list of ',
      { ref: 'Role' },
    ]);
    expect(typeOf({ type: ['string', 'null'], format: 'date-time' })).toEqual(['date-time or null']);
    expect(typeOf({ oneOf: [{ type: 'null' }, { type: 'integer' }] })).toEqual(['null', ' or ', 'integer']);
  });
});
