"""Several processes that train together: batches shared out, layers shared out, or both on a grid."""
