/** A promise with its handles. A rejection that nobody waits for is nobody's concern. */
export function deferred() {
  /** @type {any} */
  const handles = {};
  handles.promise = new Promise((resolve, reject) => Object.assign(handles, { resolve, reject }));
  handles.promise.catch(() => {});
  return /** @type {{promise: Promise<any>, resolve: (value?: any) => void, reject: (error: any) => void}} */ (handles);
}
