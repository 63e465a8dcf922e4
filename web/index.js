// The package's entry for pages.
export { connect } from './client.js';
export { StoreError, TidegateError } from '../sw/errors.js';
