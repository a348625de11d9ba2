from django.http import JsonResponse
from django.urls import path
from django.views.decorators.http import require_POST

from .orders import place


@require_POST
def orders(request):
    order = place(request.body.decode())
    order.refresh_from_db()
    return JsonResponse({"id": order.pk, "published": order.published}, status=201)


urlpatterns = [path("orders", orders)]
