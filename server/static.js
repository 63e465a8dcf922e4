/** The files of an app beside the API, under a content security policy that lets WebAssembly run and nothing foreign load. */
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import fastifyStatic from '@fastify/static';

export const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "img-src 'self' blob: data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * Serves the directories at "/"; where two have a file of one name, the first wins. Throws an Error naming a directory that does not exist.
 * @param {import('fastify').FastifyInstance} app
 * @param {string[]} directories
 */
export function serveStatic(app, directories) {
  if (directories.length === 0) return;
  const roots = directories.map((directory) => resolve(directory));
  const missing = roots.find((root) => !existsSync(root) || !statSync(root).isDirectory());
  if (missing !== undefined) throw new Error(`there is no directory ${missing} to serve`);
  app.register(fastifyStatic, {
    root: roots,
    dotfiles: 'ignore',
    // A page is revalidated each time; what may be kept longer is the service worker's business.
    cacheControl: false,
    setHeaders(reply) {
      reply.setHeader('Cache-Control', 'no-cache');
      reply.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY);
      reply.setHeader('Referrer-Policy', 'no-referrer');
    },
  });
}
