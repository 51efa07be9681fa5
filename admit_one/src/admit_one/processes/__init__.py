"""What every process of ours needs: stopping, waiting, telling how it is doing."""
