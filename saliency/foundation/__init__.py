"""What every floor stands on: errors, and the reader of images.

It lies inside `saliency` and not in `data`, since inference must work even where a user's own
package is called `data`; it imports nothing else of ours, and every floor may import it.
"""
