// The errors of workbox, by the names its users catch.

export class WorkboxError extends Error {
  /** @param {string} name  the code, as in workbox @param {object} [details] @param {unknown} [cause] */
  constructor(name, details = {}, cause) {
    super(`${name} :: ${JSON.stringify([details])}`, cause === undefined ? undefined : { cause });
    this.name = name;
    this.details = details;
  }
}

/** @param {unknown} value @param {string} type @param {string} where  class, function and parameter, as in "Queue.pushRequest(entry)" */
export function assertType(value, type, where) {
  if (typeof value !== type || value === null) throw new WorkboxError('incorrect-type', { where, expectedType: type, found: value === null ? 'null' : typeof value });
}

/** @param {unknown} value @param {Function} type @param {string} where */
export function assertInstance(value, type, where) {
  if (!(value instanceof type)) throw new WorkboxError('incorrect-class', { where, expectedClass: type.name, found: typeof value });
}
