// The real server in its own process, on a file that outlives it.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import Database from 'libsql';
import { at } from '../../../scripts/lib.mjs';

/** @param {string} database the SQLite file @param {string[]} [options] further ones of server/main.js */
export async function startServer(database, options = []) {
  const child = fork(at('server/main.js'), ['--db', database, '--port', '0', ...options], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  const gone = once(child, 'exit');
  const [line] = await Promise.race([
    once(child.stdout.setEncoding('utf8'), 'data'),
    gone.then(([code]) => { throw new Error(`the server ended with ${code} before it took requests`); }),
  ]);
  const reader = new Database(database, { readonly: true });
  const documents = reader.prepare('SELECT entity, entity_id, body FROM documents WHERE deleted = 0 AND body IS NOT NULL');   // what was uploaded in pieces is no text
  const count = reader.prepare('SELECT count(*) AS count FROM effects');
  const ofEntity = reader.prepare('SELECT op_id FROM effects WHERE entity = ? ORDER BY n');
  return {
    database,
    port: Number(new URL(line.trim()).port),
    /** How many writes took effect so far, asked while the server runs. */
    effects: () => count.get().count,
    /** The ops that took effect on an entity type, once for each time. @param {string} entity @returns {string[]} */
    effectsOf: (entity) => ofEntity.all(entity).map(({ op_id }) => op_id),
    /** The documents as they are now: "entity/entityId" and their text. @returns {Map<string, string>} */
    documents: () => new Map(documents.all().map(({ entity, entity_id, body }) => [`${entity}/${entity_id}`, new TextDecoder().decode(body)])),
    async stop() {
      reader.close();
      if (child.exitCode === null) child.kill('SIGTERM');
      await gone;
    },
  };
}
